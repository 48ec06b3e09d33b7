package index

import (
	"sync"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/uidledger"
)

// unusedMax is of how many folders the leftovers of leases are kept, a hundred bytes or two each. Of one that is not kept they are skipped,
// which takes some octets in its head.
const unusedMax = 16_384

// leftovers are what is left of the leases of this node's indexes: an index that is dropped, idle or for want of memory, hands them on to the
// next one of its user here. Each is of one ledger, which is used in its user's turn; so nobody gives numbers of it meanwhile.
type leftovers struct {
	mu  sync.Mutex
	max int
	all map[leftoverOf]uidledger.Unused
}

// leftoverOf is a folder of a user, and of no former one of the same name: that of a floor (Config.Floor).
type leftoverOf struct {
	user   mail.User
	floor  cluster.Timestamp
	folder mail.FolderID
}

func newLeftovers(largest int) *leftovers {
	return &leftovers{max: largest, all: make(map[leftoverOf]uidledger.Unused)}
}

// keep notes what is left now.
func (l *leftovers) keep(of leftoverOf, u uidledger.Unused) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if delete(l.all, of); u.IsEmpty() {
		return
	}
	for other := range l.all { // any one
		if len(l.all) < l.max {
			break
		}
		delete(l.all, other)
	}
	l.all[of] = u
}

// take gives what is left under a UIDVALIDITY, once.
func (l *leftovers) take(of leftoverOf, validity uint32) uidledger.Unused {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.all[of]
	if u.UIDValidity != validity {
		return uidledger.Unused{}
	}
	delete(l.all, of)
	return u
}

// leftover is where the leftovers of a folder are kept.
func (s *state) leftover(id mail.FolderID) leftoverOf { return leftoverOf{s.user, s.floor, id} }

// newLedger makes a folder's ledger, with nothing in it but the numbers that an earlier one here had left.
func (s *state) newLedger(id mail.FolderID, first uidledger.Set) *folder {
	return &folder{id: id, ledger: uidledger.New(uidledger.Config{Self: s.x.cluster.ID(), Folder: id, First: first, Life: newLife(),
		Unused: s.x.unused.take(s.leftover(id), first.UIDValidity)})}
}
