package uidledger

import (
	"cmp"
	"math/bits"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// View is the folder as clients may be shown it: all of it is durable (L4), and counted as shown. It is read between
// the manager's steps, by the same owner.
type View struct {
	m           *Manager
	opened      bool
	uidValidity uint32
	next        [counters]uint64
	skipped     [counters]Ranges // as they were when this was shown
	former      [counters]Shown  // Manager.former, as it was then
	forgotten   uint64
	count       int
	flags       int
	mark        Mark // of this view; zero: to be computed
}

// Entry is one message of the view.
type Entry struct {
	UID    mail.UID
	ID     mail.MessageID
	Stay   cluster.Timestamp
	Flags  []mail.Flag // ascending, none twice
	ModSeq mail.ModSeq
}

func (v *View) reset(m *Manager) { *v = View{m: m, uidValidity: m.set.UIDValidity} }

// show makes the work the view.
func (m *Manager) show() {
	v := &m.view
	for _, c := range m.dirty {
		v.count, v.flags = v.count-c.live, v.flags-c.flags
		c.shown, c.live, c.flags, c.newest, c.known, c.dirty = c.work, 0, len(c.work.registers), 0, c.work.known(), false
		v.forgotten = max(v.forgotten, c.shown.forgotten)
		for i := range c.shown.slots {
			s := &c.shown.slots[i]
			if s.state == live {
				c.live++
			}
			c.newest = max(c.newest, c.shown.modseq(s))
		}
		v.count, v.flags = v.count+c.live, v.flags+c.flags
	}
	m.dirty = m.dirty[:0]
	v.opened, v.uidValidity, v.former, v.mark = true, m.head.UIDValidity, m.former, Mark{}
	for c := range v.next {
		v.next[c], v.skipped[c] = m.head.Shown[c].Next, m.head.Shown[c].Skipped
	}
}

// Opened reports whether there is anything to show: not before the replicas that were read were understood, and
// brought to the same.
func (v *View) Opened() bool { return v.opened }

// UIDValidity is the folder's UIDVALIDITY.
func (v *View) UIDValidity() uint32 { return v.uidValidity }

// UIDNext is the folder's UIDNEXT: it changes only when a message was added (L7).
func (v *View) UIDNext() mail.UID { return mail.UID(max(v.next[UIDs], 1)) }

// HighestModSeq is the folder's HIGHESTMODSEQ (RFC 7162 §3.1.2.1): never 0.
func (v *View) HighestModSeq() mail.ModSeq { return mail.ModSeq(max(v.next[ModSeqs], 2) - 1) }

// Len is the number of messages.
func (v *View) Len() int { return v.count }

// RegistersBytes is the memory, in bytes, about, of all flags of all messages, also of those taken away.
func (v *View) RegistersBytes() int64 { return int64(v.flags) * registerBytes }

// UIDs are those of all messages.
func (v *View) UIDs() mail.UIDSet {
	var set mail.UIDSet
	for _, c := range v.m.order {
		if c.live == 0 {
			continue
		}
		for i := range c.shown.slots {
			if c.shown.slots[i].state == live {
				set.Append(mail.UID(c.shown.uid(c.shown.slots[i].index)))
			}
		}
	}
	return set
}

// UID finds a message.
func (v *View) UID(id mail.MessageID) (mail.UID, bool) {
	var buf [1]uint32
	for _, uid := range v.m.ids.uids(id, &buf) {
		if _, s := v.find(mail.UID(uid)); s != nil {
			return mail.UID(uid), true
		}
	}
	return 0, false
}

func (v *View) find(u mail.UID) (*chunk, *slot) {
	c := v.m.cells[uint32(u)/ChunkSlots]
	if c == nil || c.shown == nil {
		return nil, nil
	}
	i, ok := c.shown.find(uint8(u % ChunkSlots))
	if !ok || c.shown.slots[i].state != live {
		return nil, nil
	}
	return c.shown, &c.shown.slots[i]
}

// Get gives one message.
func (v *View) Get(u mail.UID) (Entry, bool) {
	c, s := v.find(u)
	if s == nil {
		return Entry{}, false
	}
	return v.entry(c, s), true
}

func (v *View) entry(c *chunk, s *slot) Entry {
	e := Entry{UID: mail.UID(c.uid(s.index)), ID: s.id, Stay: s.stay, ModSeq: mail.ModSeq(c.modseq(s))}
	for _, r := range c.flagsOf(s.index) {
		if r.on {
			e.Flags = append(e.Flags, v.m.names.list[r.flag])
		}
	}
	slices.Sort(e.Flags)
	return e
}

// from gives the cells from that of a UID on.
func (v *View) from(u mail.UID) []*cell {
	i, _ := slices.BinarySearchFunc(v.m.order, uint32(u)/ChunkSlots, func(c *cell, n uint32) int { return cmp.Compare(c.number, n) })
	return v.m.order[i:]
}

// Range yields the messages from first to last (both included), ascending, until yield gives false. The entry is good
// until yield returns.
func (v *View) Range(first, last mail.UID, yield func(*Entry) bool) {
	for _, c := range v.from(first) {
		if c.number > uint32(last)/ChunkSlots {
			return
		}
		if c.live > 0 && !v.yield(c.shown, 0, first, last, yield) {
			return
		}
	}
}

// ChangedSince yields the messages with a greater modification sequence, ascending by UID, until yield gives false.
func (v *View) ChangedSince(since mail.ModSeq, yield func(*Entry) bool) {
	for _, c := range v.m.order {
		if c.live > 0 && c.newest > uint64(since) && !v.yield(c.shown, uint64(since), 0, mail.UID(UIDMax), yield) {
			return
		}
	}
}

func (v *View) yield(c *chunk, since uint64, first, last mail.UID, yield func(*Entry) bool) bool {
	for i := range c.slots {
		s := &c.slots[i]
		u := mail.UID(c.uid(s.index))
		if s.state != live || u < first || u > last || since > 0 && c.modseq(s) <= since {
			continue
		}
		e := v.entry(c, s)
		if !yield(&e) {
			return false
		}
	}
	return true
}

// VanishedSince gives the UIDs that went after since (RFC 7162 §3.2.6), of those that the client knows; known nil: of
// all. If expunges since then were forgotten, it gives all that is gone of known, or of all below UIDNEXT. It names no UID that could
// still turn out to be a message's (L13): what another manager gave and nobody here has heard of.
func (v *View) VanishedSince(since mail.ModSeq, known mail.UIDSet) mail.UIDSet {
	if uint64(since) < v.forgotten {
		return v.missing(known)
	}
	var gone mail.UIDSet
	for _, c := range v.m.order {
		if c.shown == nil || c.newest <= uint64(since) {
			continue
		}
		for i := range c.shown.slots {
			s := &c.shown.slots[i]
			if u := mail.UID(c.shown.uid(s.index)); s.state != live && s.tag > uint64(since) && (known == nil || known.Contains(u)) {
				gone.Append(u)
			}
		}
	}
	return gone
}

// missing gives what can never be a message again: UIDs that ended, and those that were skipped.
func (v *View) missing(known mail.UIDSet) mail.UIDSet {
	var gone mail.UIDSet
	for _, r := range v.skipped[UIDs] {
		gone = append(gone, mail.UIDRange{First: mail.UID(r.First), Last: mail.UID(r.Last)})
	}
	var ended, forgotten mail.UIDSet
	for _, c := range v.m.order {
		if c.shown == nil {
			continue
		}
		for void := c.shown.void; void != 0; void &= void - 1 {
			forgotten.Append(mail.UID(c.shown.uid(uint8(bits.TrailingZeros64(void)))))
		}
		for i := range c.shown.slots {
			if s := &c.shown.slots[i]; s.state != live {
				ended.Append(mail.UID(c.shown.uid(s.index)))
			}
		}
	}
	gone = gone.Union(ended).Union(forgotten).Without(v.UIDs())
	if known != nil {
		gone = gone.Intersect(known)
	}
	return gone
}

// Registers are all flags of a message as last written, also those taken away: to be carried to another folder.
func (v *View) Registers(u mail.UID) []Register {
	c, s := v.find(u)
	if s == nil {
		return nil
	}
	var out []Register
	for _, r := range c.flagsOf(s.index) {
		out = append(out, Register{v.m.names.list[r.flag], r.on, r.stamp})
	}
	slices.SortFunc(out, func(a, b Register) int { return cmp.Compare(a.Flag, b.Flag) })
	return out
}

// Behind reports whether a client has seen numbers that this view cannot know (L13): it was shown a newer state
// elsewhere. Such a client must be told nothing of the folder, or nothing but what is there: never that something
// vanished. uidNext may be 0: not told.
func (v *View) Behind(uidValidity uint32, modseq mail.ModSeq, uidNext mail.UID, known mail.UIDSet) bool {
	if uidValidity != v.uidValidity {
		return uidValidity > v.uidValidity
	}
	n := len(known)
	return modseq > v.HighestModSeq() || uidNext > v.UIDNext() || n > 0 && known[n-1].Last >= v.UIDNext()
}
