package archive

import (
	"hash/maphash"
	"sync"

	"porcupine/internal/cluster"
)

// TallyMax bounds the objects that a Tally remembers, at about 20 bytes each. Those beyond are
// counted as often as they are met.
const TallyMax = 8 << 20

// fate is what became of an object, the better the greater.
type fate uint8

const (
	fateFailed fate = iota + 1
	fateOwnerless
	fateStaysGone
	fatePresent
	fatePut
)

// Tally counts what became of objects over several runs, each object once: two nodes' backups have
// many in common. What is better counts: an object that is damaged in one backup and injected from
// another has been injected. Its methods may be called from any goroutine.
type Tally struct {
	mu      sync.Mutex
	seed    maphash.Seed
	max     int
	fates   map[uint64]fate
	owners  map[uint64]bool // met; true: a profile of theirs was injected, or would be
	removed map[string]bool
	sum     Injected
	faults  int  // failures that concern no single object
	over    bool // some objects were not remembered
}

// NewTally makes an empty one.
func NewTally() *Tally {
	return &Tally{seed: maphash.MakeSeed(), max: TallyMax, fates: map[uint64]fate{}, owners: map[uint64]bool{}, removed: map[string]bool{}}
}

// Sum gives the counts until now. exact is false if some objects may have been counted more than once.
func (t *Tally) Sum() (sum Injected, exact bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sum = t.sum
	sum.Owners, sum.Removed = len(t.owners), len(t.removed)
	sum.Failed += t.faults
	return sum, !t.over
}

// Unfinished reports whether objects were left out since their owner had no profile, while profiles
// were injected: another run over the same stores may find that they have an owner now.
func (t *Tally) Unfinished() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sum.Ownerless == 0 {
		return false
	}
	for _, revived := range t.owners { // any: the order does not matter
		if revived {
			return true
		}
	}
	return false
}

// note counts what became of an object, and reports whether that is better than what was known.
func (t *Tally) note(o *cluster.Object, f fate) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := maphash.Comparable(t.seed, o.ID)
	old, known := t.fates[key]
	switch {
	case known && f <= old:
		return false
	case known:
		*t.sum.of(old)--
	default:
		t.sum.Objects++
	}
	if known || len(t.fates) < t.max {
		t.fates[key] = f
	} else {
		t.over = true
	}
	*t.sum.of(f)++
	if f == fatePut {
		t.sum.Bytes += o.Size
	}
	return true
}

// of gives the count of a fate.
func (n *Injected) of(f fate) *int {
	switch f {
	case fatePut:
		return &n.Put
	case fatePresent:
		return &n.Present
	case fateStaysGone:
		return &n.StayGone
	case fateOwnerless:
		return &n.Ownerless
	}
	return &n.Failed
}

// fault counts a failure that concerns no single object.
func (t *Tally) fault() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults++
}

// met notes an owner, whether it gets a profile, and whether it stays removed.
func (t *Tally) met(owner string, revived, removed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := maphash.String(t.seed, owner)
	t.owners[key] = t.owners[key] || revived
	if removed {
		t.removed[owner] = true
	}
}

// revived reports whether an owner has got a profile in a run, or would have.
func (t *Tally) revived(owner string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.owners[maphash.String(t.seed, owner)]
}
