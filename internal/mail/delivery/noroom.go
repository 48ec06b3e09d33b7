package delivery

import (
	"sync"
	"time"

	"porcupine/internal/mail"
)

// Bounds of noRoom. Senders come again after five minutes to an hour.
const (
	noRoomFor = 2 * time.Hour
	noRoomMax = 4096
)

// noRoom remembers who had no room for a message that others were to get as well, and whose sender had not
// said at MAIL how large it is. Without it the message would fail for all of them each time it comes,
// until it bounces. When it comes again to this node, the one without room is refused before the
// others are.
//
// It is asked once and then forgotten: so whoever forges the sender of large messages puts off one
// message for each that he sends.
type noRoom struct {
	mu    sync.Mutex
	sizes map[noRoomKey]noRoomEntry
}

type noRoomKey struct {
	from mail.Address
	user mail.User
}

type noRoomEntry struct {
	size int64 // of the message
	at   time.Time
}

func newNoRoom() *noRoom { return &noRoom{sizes: make(map[noRoomKey]noRoomEntry)} }

func (n *noRoom) put(from mail.Address, u mail.User, size int64, now time.Time) {
	key := noRoomKey{from, u}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.sizes[key]; !ok && len(n.sizes) >= noRoomMax {
		n.makeRoom(now)
	}
	n.sizes[key] = noRoomEntry{size, now}
}

// makeRoom drops what is too old among some entries in the map's random order, and one in any case.
func (n *noRoom) makeRoom(now time.Time) {
	scanned := 0
	for key, e := range n.sizes {
		if scanned == 0 || now.Sub(e.at) >= noRoomFor {
			delete(n.sizes, key)
		}
		if scanned++; scanned == freshScanMax {
			return
		}
	}
}

// take gives the size of the message of that sender for which the user had no room, and forgets it; 0: none.
func (n *noRoom) take(from mail.Address, u mail.User, now time.Time) int64 {
	key := noRoomKey{from, u}
	n.mu.Lock()
	defer n.mu.Unlock()
	e, ok := n.sizes[key]
	delete(n.sizes, key)
	if !ok || now.Sub(e.at) >= noRoomFor {
		return 0
	}
	return e.size
}
