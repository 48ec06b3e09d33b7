package upkeep

import "porcupine/internal/cluster"

// isShort notes that objects in a bucket have too few copies.
func (u *Upkeep) isShort(b cluster.Bucket) {
	u.mu.Lock()
	u.short[b] = true
	u.mu.Unlock()
	u.poke()
}

// takeShort gives the buckets noted, and forgets them.
func (u *Upkeep) takeShort() map[cluster.Bucket]bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	short := u.short
	u.short = map[cluster.Bucket]bool{}
	return short
}

// giveBackShort notes buckets again that a pass has not got to, or in which it could not do all.
func (u *Upkeep) giveBackShort(short map[cluster.Bucket]bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for b := range short { // a set: the order does not matter
		u.short[b] = true
	}
}

// leave notes a bucket in which something is left to do: a move has failed, or it is another node's turn first.
func (p *pass) leave(b cluster.Bucket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.undone[b] = true
}

// undoneOf gives those of the buckets in which something is left to do. A later pass must look there although their headers say
// nothing. When no move is in flight.
func (p *pass) undoneOf(short map[cluster.Bucket]bool) map[cluster.Bucket]bool {
	if p.leftover {
		return short
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	left := map[cluster.Bucket]bool{}
	for b := range short { // a set: the order does not matter
		if p.undone[b] {
			left[b] = true
		}
	}
	return left
}
