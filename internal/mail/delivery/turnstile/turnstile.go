package turnstile

import (
	"container/list"
	"context"
	"log/slog"
	"sync"
	"time"

	"porcupine/internal/cluster"
)

// WaitMaxDefault is how long one waits for its turn, at most.
const WaitMaxDefault = time.Second / 2

// PatientShare is which part of the turns goes to those who entered by EnterPatiently while others wait as well: one in so many.
const PatientShare = 4

// logEvery is the pace of the log lines about too much work.
const logEvery = 30 * time.Second

// Config of a Turnstile. Zero fields are the defaults.
type Config struct {
	WaitMax  time.Duration // for one's turn; default WaitMaxDefault
	LimitMin int           // of those in progress at once, however slow they are; default LimitMinDefault, at most LimitMax
	Logger   *slog.Logger  // nil: nothing is logged
}

// Turnstile is safe for concurrent use.
type Turnstile struct {
	waitMax time.Duration
	log     *slog.Logger

	mu       sync.Mutex
	limit    Limit
	inside   int
	waiting  list.List // of *waiter, the oldest first
	patient  list.List // likewise, those of EnterPatiently
	others   int       // turns of others since one of the patient, while both waited
	figures  Figures   // the counters of it
	loggedAt time.Time
	unlogged int64 // sent away since
}

// waiter is one who waits.
type waiter struct {
	turn  chan struct{} // closed when its turn has come; then pass is set
	pass  pass
	since time.Time
}

// pass is one who is inside.
type pass struct {
	ticket uint64
	began  time.Time
}

// Figures are for metrics.
type Figures struct {
	Inside  int           // deliveries in progress (gauge)
	Limit   int           // of them (gauge)
	Waiting int           // for their turn (gauge)
	Waited  time.Duration // by all who had to wait
	Refused Refused
	Gone    int64 // those whose client had given up when their turn came
}

// Refused counts who was sent away.
type Refused struct {
	Connections int64 // new ones
	Messages    int64 // new ones of open connections
	Full        int64 // with the message here already: the line was full
	Late        int64 // likewise: the turn did not come within WaitMax, or, of the patient, before they gave up
}

// New makes a Turnstile.
func New(cfg Config) *Turnstile {
	if cfg.WaitMax <= 0 {
		cfg.WaitMax = WaitMaxDefault
	}
	if cfg.LimitMin <= 0 {
		cfg.LimitMin = LimitMinDefault
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Turnstile{waitMax: cfg.WaitMax, log: cfg.Logger, limit: NewLimit(cfg.LimitMin)}
}

// AdmitsConnection reports whether a new client may be let in. It is cheap: an accept loop may ask.
func (t *Turnstile) AdmitsConnection() bool { return t.admits(2, &t.figures.Refused.Connections) }

// AdmitsMessage reports whether a client that is in may begin a message.
func (t *Turnstile) AdmitsMessage() bool { return t.admits(3, &t.figures.Refused.Messages) }

// admits reports that the line is filled to less than so many quarters, or counts a refusal.
func (t *Turnstile) admits(quarters int, refused *int64) bool {
	t.mu.Lock()
	if 4*t.waiting.Len() < quarters*t.limit.Now() {
		t.mu.Unlock()
		return true
	}
	say := t.refuse(refused)
	t.mu.Unlock()
	say()
	return false
}

// Enter waits for the caller's turn, and gives the function that ends it: leave, with true if
// the work was done, with false if there was no use for it any more. waited says that the turn did not come at once. An
// error is of KindUnavailable, and the work must not be done: too many wait already, or the
// turn has not come within WaitMax, or before ctx ended.
func (t *Turnstile) Enter(ctx context.Context) (waited bool, leave func(done bool), err error) {
	return t.enter(ctx, &t.waiting)
}

// EnterPatiently is Enter for work whose client waits for it, and sends nothing anew when it is refused. It has a line of its
// own, so that however much of it there is the other is not filled; while both wait, it gets one turn of PatientShare. That line
// does not follow the limit, and WaitMax is not for it: up to LimitMax wait, each until its turn comes or ctx ends. The caller
// gives ctx an end.
func (t *Turnstile) EnterPatiently(ctx context.Context) (waited bool, leave func(done bool), err error) {
	return t.enter(ctx, &t.patient)
}

func (t *Turnstile) enter(ctx context.Context, line *list.List) (waited bool, leave func(done bool), err error) {
	t.mu.Lock()
	most := t.limit.Now()
	if line == &t.patient {
		most = LimitMax
	}
	switch n := line.Len(); {
	case t.inside < t.limit.Now() && t.waiting.Len()+t.patient.Len() == 0:
		p := t.begin(time.Now())
		t.mu.Unlock()
		return false, t.leaver(p), nil
	case n >= most:
		say := t.refuse(&t.figures.Refused.Full)
		t.mu.Unlock()
		say()
		return false, nil, cluster.Errorf(cluster.KindUnavailable, "wait for a turn", "%d deliveries wait already: try again later", n)
	}
	w := &waiter{turn: make(chan struct{}), since: time.Now()}
	e := line.PushBack(w)
	t.mu.Unlock()
	if err := t.wait(ctx, line, e, w); err != nil {
		return true, nil, err
	}
	return true, t.leaver(w.pass), nil
}

// wait waits for the turn of one in a line.
func (t *Turnstile) wait(ctx context.Context, line *list.List, e *list.Element, w *waiter) error {
	patient := line == &t.patient
	var late <-chan time.Time
	if !patient {
		timer := time.NewTimer(t.waitMax)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-w.turn:
	case <-late:
	case <-ctx.Done():
	}
	say := func() {}
	defer func() { say() }()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.figures.Waited += time.Since(w.since)
	came := false
	select {
	case <-w.turn:
		came = true
	default:
		line.Remove(e)
	}
	if !came && (patient || ctx.Err() == nil) {
		say = t.refuse(&t.figures.Refused.Late)
	}
	switch {
	case ctx.Err() != nil: // nobody waits for the work
		if came {
			t.end()
		}
		return cluster.Errorf(cluster.KindUnavailable, "wait for a turn", "%w", context.Cause(ctx))
	case !came:
		return cluster.Errorf(cluster.KindUnavailable, "wait for a turn", "it did not come within %v: try again later", t.waitMax)
	}
	return nil
}

// leaver gives the function that ends a pass.
func (t *Turnstile) leaver(p pass) func(bool) {
	return func(done bool) {
		took := time.Since(p.began)
		t.mu.Lock()
		defer t.mu.Unlock()
		if done {
			t.limit.End(p.ticket, took)
		} else {
			t.figures.Gone++
		}
		t.end()
	}
}

// Figures gives what has happened until now.
func (t *Turnstile) Figures() Figures {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.figures
	f.Inside, f.Limit, f.Waiting = t.inside, t.limit.Now(), t.waiting.Len()+t.patient.Len()
	return f
}

// begin counts one in. Preconditions: t.mu is held.
func (t *Turnstile) begin(now time.Time) pass {
	p := pass{ticket: t.limit.Begin(t.inside), began: now}
	t.inside++
	return p
}

// end counts one out, and gives those who wait their turn, as far as there is room.
// Preconditions: t.mu is held.
func (t *Turnstile) end() {
	t.inside--
	for t.inside < t.limit.Now() && t.waiting.Len()+t.patient.Len() > 0 {
		line := t.next()
		w := line.Remove(line.Front()).(*waiter)
		w.pass = t.begin(time.Now())
		close(w.turn)
	}
}

// next gives the line whose turn it is. Preconditions: t.mu is held, and somebody waits.
func (t *Turnstile) next() *list.List {
	switch {
	case t.patient.Len() == 0:
		return &t.waiting
	case t.waiting.Len() == 0:
		return &t.patient
	case t.others < PatientShare-1:
		t.others++
		return &t.waiting
	}
	t.others = 0
	return &t.patient
}

// refuse counts one who is sent away, and gives the function that says so from time to time, for
// when t.mu is not held any more. Preconditions: t.mu is held.
func (t *Turnstile) refuse(counter *int64) (say func()) {
	*counter++
	t.unlogged++
	now := time.Now()
	if now.Sub(t.loggedAt) < logEvery {
		return func() {}
	}
	n, inside, limit, waiting := t.unlogged, t.inside, t.limit.Now(), t.waiting.Len()+t.patient.Len()
	t.loggedAt, t.unlogged = now, 0
	return func() {
		t.log.Warn("more mail comes in than can be stored in time: some clients are told to come again later",
			"sent_away", n, "in_progress", inside, "limit", limit, "waiting", waiting)
	}
}
