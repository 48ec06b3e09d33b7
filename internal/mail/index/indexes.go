package index

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/survey"
)

// Indexes keeps the indexes of the users that one node manages. It is safe for concurrent use.
type Indexes struct {
	cluster  substrate
	cfg      Config
	survey   *survey.Survey
	grants   *grants
	courier  *courier
	unused   *leftovers
	figures  counters
	builders *builders

	mu     sync.Mutex
	boxes  map[mail.User]*box
	recent *list.List // of *box, the one used last in front
	cost   int64      // bytes of all, about
}

// counters are of what happened since New.
type counters struct{ loads, relists, evictions, questions, refused atomic.Int64 }

// Figures are counters and gauges for metrics.
type Figures struct {
	Users, Loaded, Watched int   // now
	Bytes                  int64 // of all indexes, about, now
	Loads                  int64 // indexes built
	Relists                int64 // listings after gaps and new fragments
	Evictions              int64 // indexes dropped for want of memory, or idle
	Questions              int64
	Refused                int64 // questions that were not answered since too many waited
	Notices                int64 // told to nodes that watch
	NoticesLost            int64
	Grants                 int64 // requests answered as a ledger replica
}

// New makes the indexes of a node.
func New(node substrate, cfg Config) (*Indexes, error) {
	if node == nil {
		return nil, errors.New("index: the node is missing")
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	x := &Indexes{cluster: node, cfg: cfg, survey: survey.New(node, 0), grants: newGrants(node, cfg.LedgerWait),
		unused: newLeftovers(unusedMax), builders: newBuilders(), boxes: make(map[mail.User]*box), recent: list.New()}
	x.courier = newCourier(node, cfg, x.notTold)
	return x, nil
}

// Register makes the node answer for the mail of the users it manages, and as a ledger replica. Call it once,
// before the node starts.
func (x *Indexes) Register() {
	x.cluster.Serve(talk.Method, x.serve)
	x.cluster.Serve(methodGrant, x.grants.serve)
}

// Run parts with what is idle, ends watches that were not renewed, and looks at watched users for new fragments, until
// ctx ends. It waits for what it began.
func (x *Indexes) Run(ctx context.Context) {
	defer x.close()
	var tidying sync.WaitGroup
	defer tidying.Wait()
	tidying.Go(func() { x.every(ctx, func() { x.tidy(ctx, time.Now()) }) }) // beside the other: ledgers that cannot be written take their time
	x.every(ctx, func() { x.look(ctx) })
}

// every does something each LookEvery, until ctx ends.
func (x *Indexes) every(ctx context.Context, do func()) {
	ticker := time.NewTicker(x.cfg.LookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			do()
		case <-ctx.Done():
			return
		}
	}
}

// close breaks off what is being built, ends all subscriptions and waits for the notices on their way.
func (x *Indexes) close() {
	x.builders.close()
	x.mu.Lock()
	var boxes []*box
	for _, b := range x.boxes {
		boxes = append(boxes, b)
	}
	x.mu.Unlock()
	for _, b := range boxes {
		b.unfollow()
	}
	x.courier.close()
}

// Figures gives the counters and gauges of this moment.
func (x *Indexes) Figures() Figures {
	x.mu.Lock()
	f := Figures{Users: len(x.boxes), Bytes: x.cost}
	for _, b := range x.boxes {
		if b.line > 0 || b.state != nil { // the state is of whoever has the turn
			f.Loaded++
		}
		if len(b.watchers) > 0 {
			f.Watched++
		}
	}
	x.mu.Unlock()
	c := &x.figures
	f.Loads, f.Relists, f.Evictions = c.loads.Load(), c.relists.Load(), c.evictions.Load()
	f.Questions, f.Refused = c.questions.Load(), c.refused.Load()
	f.Notices, f.NoticesLost = x.courier.told.Load(), x.courier.lost.Load()
	f.Grants = x.grants.answered.Load()
	return f
}

// term is what an index hangs on: this node manages the bucket, since that epoch, and has listed the
// disks of that view.
type term struct {
	bucket cluster.Epoch // when the bucket was assigned
	view   cluster.Epoch
}

// termOf gives the term of a user by this node's view. KindUnavailable: this node does not manage the user.
func (x *Indexes) termOf(u mail.User) (term, error) {
	v := x.cluster.View()
	b := x.cfg.ClusterID.BucketOf(string(u))
	if v == nil || int(b) >= len(v.Map) || v.Manager(b) != x.cluster.ID() {
		return term{}, cluster.Errorf(cluster.KindUnavailable, "find the index of "+string(u), "this node does not manage the user now")
	}
	return term{bucket: v.Map[b].Epoch, view: v.Epoch}, nil
}
