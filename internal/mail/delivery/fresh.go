package delivery

import (
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// freshEntries carries what Verify was told over to Deliver, which usually follows at once, and from
// one Put to the next, so that one delivery, or one APPEND of many messages, asks the user's manager once. It is
// not a cache: nobody else may use it, and what is older than a moment is forgotten.
type freshEntries struct {
	ttl time.Duration
	max int

	mu    sync.Mutex
	boxes map[mail.User]freshEntry
}

type freshEntry struct {
	box mail.Mailbox
	at  time.Time
}

func newFreshEntries(ttl time.Duration, limit int) *freshEntries {
	return &freshEntries{ttl: ttl, max: limit, boxes: make(map[mail.User]freshEntry)}
}

// freshScanMax bounds the work of making room.
const freshScanMax = 16

func (f *freshEntries) put(b *mail.Mailbox, now time.Time) {
	kept := *b
	kept.Entry.Cached = nil // passwords have no business here
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.boxes[b.User]; !ok && len(f.boxes) >= f.max {
		f.makeRoom(now)
	}
	f.boxes[b.User] = freshEntry{box: kept, at: now}
}

// makeRoom drops what is too old among some entries in the map's random order, and one in any case.
func (f *freshEntries) makeRoom(now time.Time) {
	scanned := 0
	for u, e := range f.boxes {
		if scanned == 0 || now.Sub(e.at) >= f.ttl {
			delete(f.boxes, u)
		}
		if scanned++; scanned == freshScanMax {
			return
		}
	}
}

func (f *freshEntries) get(u mail.User, now time.Time) (mail.Mailbox, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.boxes[u]
	if !ok {
		return mail.Mailbox{}, false
	}
	if now.Sub(e.at) >= f.ttl {
		delete(f.boxes, u)
		return mail.Mailbox{}, false
	}
	return e.box, true
}

// forget drops what is known of a user: it has just been wrong.
func (f *freshEntries) forget(u mail.User) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.boxes, u)
}

// stored notes that a message was added, so that a burst of messages sees its own quota.
func (f *freshEntries) stored(u mail.User, set cluster.ReplicaSet, size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.boxes[u]
	if !ok {
		return
	}
	fragments := make([]cluster.Placed, 0, len(e.box.Entry.Fragments)+1)
	found := false
	for _, p := range e.box.Entry.Fragments {
		if p.Type == mail.TypeMessage && p.Replicas.Equal(set) {
			p.Count++
			p.Bytes += size
			found = true
		}
		fragments = append(fragments, p)
	}
	if !found {
		fragments = append(fragments, cluster.Placed{Fragment: cluster.Fragment{Type: mail.TypeMessage,
			Replicas: set, Count: 1, Bytes: size}, Holders: set})
	}
	e.box.Entry.Fragments = fragments
	f.boxes[u] = e
}
