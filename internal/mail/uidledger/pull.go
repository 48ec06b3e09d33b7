package uidledger

import "porcupine/internal/mail"

// pull is how many modification sequences one batch can use at most: one for each chunk that it changes, or makes. It is not much more
// than that, since what is asked for and not used is skipped.
func (m *Manager) pull() uint64 {
	p := puller{m: m, chunks: map[uint32]struct{}{}, fresh: map[mail.MessageID]struct{}{}, gone: map[mail.MessageID]struct{}{}}
	for i := range m.fixes {
		p.fix(&m.fixes[i])
	}
	for i := range m.wishes {
		p.wish(&m.wishes[i])
	}
	for id := range m.pending.at {
		p.anew(id)
	}
	return uint64(len(p.chunks)) + p.newChunks()
}

// puller counts what a batch changes.
type puller struct {
	m      *Manager
	chunks map[uint32]struct{}         // that there are
	fresh  map[mail.MessageID]struct{} // may get another UID
	gone   map[mail.MessageID]struct{} // departs
}

// of counts the chunks of all UIDs of a message: what happens to one of them can concern all.
func (p *puller) of(id mail.MessageID) {
	var buf [1]uint32
	for _, uid := range p.m.ids.uids(id, &buf) {
		p.chunks[uid/ChunkSlots] = struct{}{}
	}
}

// anew counts a message that may get another UID.
func (p *puller) anew(id mail.MessageID) {
	p.of(id)
	p.fresh[id] = struct{}{}
}

// at counts a UID: with what else its message has, if several says so or it has several.
func (p *puller) at(uid uint32, anew bool) {
	c, i, ok := p.m.find(uid)
	if !ok {
		return
	}
	p.chunks[c.number] = struct{}{}
	if anew {
		p.anew(c.work.slots[i].id)
	} else {
		p.of(c.work.slots[i].id)
	}
}

func (p *puller) fix(f *fix) {
	switch f.kind {
	case fixForget:
		p.chunks[f.uid] = struct{}{}
	case fixFlag:
		p.at(f.uidTo, false)
	default:
		p.at(f.uid, f.kind == fixAnew)
	}
}

func (p *puller) wish(w *wish) {
	switch {
	case w.arrival != nil:
		p.arrival(w.arrival)
	case w.departure != nil:
		p.of(w.departure.ID)
		p.gone[w.departure.ID] = struct{}{}
	default:
		p.at(w.uid, false)
	}
}

// arrival counts a message that lies in the folder. When a folder is opened that is each one of it, and most have their UID already.
func (p *puller) arrival(a *Arrival) {
	var buf [1]uint32
	_, gone := p.gone[a.ID]
	if uids := p.m.ids.uids(a.ID, &buf); len(uids) == 1 && !gone && !a.condemned && len(a.Flags) == 0 {
		c, i, _ := p.m.find(uids[0])
		if s := &c.work.slots[i]; s.state >= expunged || s.state == live && s.stay.Compare(a.Stay) >= 0 {
			return // Manager.has says so too, unless a fix ends the UID, and that is counted
		}
	}
	p.anew(a.ID)
}

// newChunks is in how many chunks the new UIDs lie that there are numbers for, and about how many more it will be: when there are
// numbers for all, it is counted again.
func (p *puller) newChunks() uint64 {
	m, left := p.m, uint64(len(p.fresh))
	if left == 0 {
		return 0
	}
	all, chunks := left, uint64(0)
	for _, r := range m.spans[UIDs] {
		first := max(r.First, m.lowest(UIDs))
		if first > r.Last || left == 0 {
			continue
		}
		n := min(left, r.Last-first+1)
		chunks += (first+n-1)/ChunkSlots - first/ChunkSlots + 1
		left -= n
	}
	if left > 0 {
		chunks += left/ChunkSlots + 1
	}
	return min(all, chunks)
}
