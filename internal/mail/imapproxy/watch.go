package imapproxy

import (
	"context"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
)

// Times of watching.
const (
	viewPoll   = 50 * time.Millisecond // how often this node looks for a new view on behalf of its watches
	renewEvery = time.Minute           // a watch is renewed at the latest after it
	renewAgain = time.Second           // after a failure
)

// watcher is one session that wants to be told of one user's changes.
type watcher struct {
	user mail.User
	tell func([]mail.FolderID) // none: it may be any
}

// watch is one user whom sessions of this node watch. Without sessions it stays until it is due: clients open
// one folder after the other, and the manager need not be asked each time.
type watch struct {
	sessions map[*watcher]struct{}
	assigned cluster.Assignment // of the manager that knows of the watch
	due      time.Time          // when it is to be renewed
	asking   bool
}

// watches are all of this node.
type watches struct {
	p    *Proxy
	wake chan struct{}

	mu    sync.Mutex
	users map[mail.User]*watch
}

func newWatches(p *Proxy) *watches {
	return &watches{p: p, wake: make(chan struct{}, 1), users: make(map[mail.User]*watch)}
}

// begin has a session told. It does not wait: the manager is asked by run. If too many are watched already, the session
// is not told of anything, and hears of changes when its client asks.
func (w *watches) begin(u mail.User, tell func([]mail.FolderID)) *watcher {
	s := &watcher{user: u, tell: tell}
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.users[u]
	if known == nil {
		if len(w.users) >= w.p.cfg.UsersMax && !w.makeRoom() {
			w.p.cfg.Logger.Warn("too many users are watched: sessions are not told of new mail at once", "limit", w.p.cfg.UsersMax)
			return s
		}
		known = &watch{sessions: make(map[*watcher]struct{})}
		w.users[u] = known
		select {
		case w.wake <- struct{}{}:
		default: // it is awake
		}
	}
	known.sessions[s] = struct{}{}
	return s
}

// roomScanMax bounds the work of making room.
const roomScanMax = 64

// makeRoom forgets a watch without sessions, if there is one among a few. Preconditions: mu is held.
func (w *watches) makeRoom() bool {
	scanned := 0
	for u, known := range w.users {
		if len(known.sessions) == 0 {
			delete(w.users, u)
			return true
		}
		if scanned++; scanned == roomScanMax {
			break
		}
	}
	return false
}

// end tells a session of nothing more. The manager's watch runs out.
func (w *watches) end(s *watcher) {
	if s == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if known := w.users[s.user]; known != nil {
		delete(known.sessions, s)
	}
}

// serve takes notices.
func (w *watches) serve(_ context.Context, _ cluster.NodeID, payload []byte) ([]byte, error) {
	notices, err := talk.ParseNotices(payload)
	if err != nil {
		return nil, err
	}
	for i := range notices {
		w.tell(notices[i].User, notices[i].Folders)
	}
	return nil, nil
}

// tell tells all sessions of a user, AFTER the lock is given back: they do as they like.
func (w *watches) tell(u mail.User, folders []mail.FolderID) {
	w.mu.Lock()
	var sessions []*watcher
	if known := w.users[u]; known != nil {
		for s := range known.sessions {
			sessions = append(sessions, s)
		}
	}
	w.mu.Unlock()
	for _, s := range sessions {
		s.tell(folders)
	}
}

// run renews the watches, at once where another manager has taken over.
func (w *watches) run(ctx context.Context) {
	ticker := time.NewTicker(viewPoll)
	defer ticker.Stop()
	slots := make(chan struct{}, w.p.cfg.RenewsMax)
	var renewing sync.WaitGroup
	defer renewing.Wait()
	var seen *cluster.View
	var looked time.Time
	for {
		woken := false
		select {
		case <-ticker.C:
		case <-w.wake:
			woken = true
		case <-ctx.Done():
			return
		}
		v := w.p.cluster.View()
		if v == seen && !woken && time.Since(looked) < renewAgain {
			continue
		}
		seen, looked = v, time.Now()
		for _, u := range w.dueAt(v, looked) {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			renewing.Go(func() {
				defer func() { <-slots }()
				w.renew(ctx, u)
			})
		}
	}
}

// assignment gives who manages a user by a view.
func (w *watches) assignment(v *cluster.View, u mail.User) cluster.Assignment {
	b := w.p.cfg.ClusterID.BucketOf(string(u))
	if v == nil || int(b) >= len(v.Map) {
		return cluster.Assignment{}
	}
	return v.Map[b]
}

// dueAt gives the users whose watch is to be renewed, and notes that it is.
func (w *watches) dueAt(v *cluster.View, at time.Time) (due []mail.User) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for u, known := range w.users {
		moved := known.assigned != w.assignment(v, u)
		if known.asking || at.Before(known.due) && !moved {
			continue
		}
		if len(known.sessions) == 0 {
			delete(w.users, u)
			continue
		}
		known.asking = true
		due = append(due, u)
	}
	return due
}

// renew asks the manager once. If it is another than before, or the first, the sessions look for themselves: what
// has happened before it knew of the watch they were not told. So they do if it says that it could not tell something.
func (w *watches) renew(ctx context.Context, u mail.User) {
	to := w.assignment(w.p.cluster.View(), u)
	a, err := w.p.ask(ctx, u, &talk.Question{Op: talk.OpWatch, On: true})
	w.mu.Lock()
	known := w.users[u]
	moved := false
	if known != nil {
		known.asking = false
		if err != nil {
			known.due, known.assigned = time.Now().Add(renewAgain), cluster.Assignment{}
		} else {
			moved = known.assigned != to || a.More
			known.due, known.assigned = time.Now().Add(min(renewEvery, a.TTL/2)), to
		}
	}
	w.mu.Unlock()
	if err != nil {
		w.p.cfg.Logger.Debug("mail not watched, trying again", "user", u, "err", err)
	}
	if moved {
		w.tell(u, nil)
	}
}
