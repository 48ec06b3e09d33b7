package uidledger

import (
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// Register is a flag of a message as last written: On or not, and when (L11). A flag that was taken away stays as a
// register, so that an older write does not bring it back.
type Register struct {
	Flag  mail.Flag
	On    bool
	Stamp cluster.Timestamp
}

// Arrival is a message that lies in the folder, since Stay: the stamp of its arrival there. Flags are those that it
// comes with, from another folder or APPEND.
type Arrival struct {
	ID    mail.MessageID
	Stay  cluster.Timestamp
	Flags []Register

	condemned bool // Manager.renew carries the mark on: the message gets a number, and is expunged at once
}

// Departure is a message that is proven to lie in the folder no more: deleted, or its newest stay is elsewhere. What
// only cannot be found at the moment has not departed.
type Departure struct {
	ID      mail.MessageID
	Deleted bool // it is no more, in any folder
	// Stay is since when it lies elsewhere: UIDs of a later stay here are left alone. Zero: all are meant.
	Stay cluster.Timestamp
}

// Flagging is one flag of one message, set or taken away.
type Flagging struct {
	UID mail.UID
	Register
}

// wish is one change that is wanted: exactly one of the fields but uid.
type wish struct {
	arrival   *Arrival
	departure *Departure
	flag      *Register         // of uid
	expunge   bool              // of uid
	at        cluster.Timestamp // of expunge: when, if it is to be condemned
	uid       uint32
}

// pending are the messages that lie in the folder and have no UID yet, in order of arrival.
type pending struct {
	list []Arrival // an id that is not in at has departed
	at   map[mail.MessageID]int
}

func (p *pending) add(a Arrival) {
	if p.at == nil {
		p.at = map[mail.MessageID]int{}
	}
	if i, ok := p.at[a.ID]; ok {
		x := &p.list[i]
		if a.condemned && !x.condemned || a.condemned == x.condemned && a.Stay.Compare(x.Stay) > 0 {
			x.Stay, x.condemned = a.Stay, a.condemned
		}
		x.Flags = slices.Concat(x.Flags, a.Flags)
		return
	}
	p.at[a.ID] = len(p.list)
	p.list = append(p.list, a)
}

// remove drops a message that came before a stamp; zero: at any time. One that is condemned is to be expunged anyway, and its
// mark must not be lost.
func (p *pending) remove(id mail.MessageID, before cluster.Timestamp) {
	if i, ok := p.at[id]; ok && !p.list[i].condemned && (before.IsZero() || p.list[i].Stay.Compare(before) < 0) {
		delete(p.at, id)
	}
}

// drop drops the first n of the list.
func (p *pending) drop(n int) {
	for i, a := range p.list[:n] {
		if at, ok := p.at[a.ID]; ok && at == i {
			delete(p.at, a.ID)
		}
	}
	p.list = slices.Clone(p.list[n:])
	for id, at := range p.at {
		p.at[id] = at - n
	}
}

// Arrive tells of messages that lie in the folder: all of them after the replicas were read, later the new ones. Those
// that have a UID already keep it. They get UIDs in this order.
func (m *Manager) Arrive(arrivals ...Arrival) {
	m.wishes = slices.Grow(m.wishes, len(arrivals))
	for i := range arrivals {
		m.wishes = append(m.wishes, wish{arrival: &arrivals[i]})
	}
}

// Depart tells of messages that lie in the folder no more. Where a deletion is the cause it must be durable BEFORE:
// what is marked as expunged never comes back, so it must be gone.
func (m *Manager) Depart(departures ...Departure) {
	for i := range departures {
		m.wishes = append(m.wishes, wish{departure: &departures[i]})
	}
}

// Expunge is Depart with Deleted, by UIDs of the view. The same must be durable BEFORE.
func (m *Manager) Expunge(uids mail.UIDSet) {
	for u := range uids.All() {
		m.wishes = append(m.wishes, wish{expunge: true, uid: uint32(u)})
	}
}

// Condemn expunges messages of the view that lie where nobody can be asked to delete them now. As soon as that is shown it
// is durable: the message is gone for whoever reads this ledger. Whoever finds it again deletes it then, as far as
// it is older than at, the time of the expunge (Stay.Condemned): what was put back from a backup since is newer.
//
// Such marks are not forgotten, and when UIDVALIDITY grows they are carried on as far as the deciding manager has read
// them. What it has not read is lost, as flags are, and the message is shown again.
func (m *Manager) Condemn(at cluster.Timestamp, uids mail.UIDSet) {
	for u := range uids.All() {
		m.wishes = append(m.wishes, wish{expunge: true, at: at, uid: uint32(u)})
	}
}

// SetFlags writes flags of messages of the view. A UID that is gone when it is done is left out. Errors are of
// KindInvalid (no flag can be called that), or KindLimit: the folder would have more than KeywordsMax different keywords,
// or messages that lie together more than RegistersMax. Then nothing is done.
func (m *Manager) SetFlags(flaggings ...Flagging) error {
	if err := m.checkRoom(flaggings); err != nil {
		return err
	}
	fresh := map[mail.Flag]struct{}{}
	for i := range flaggings {
		f := flaggings[i].Flag
		if _, counted := fresh[f]; counted {
			continue
		}
		if err := m.checkFlag(f, len(fresh)); err != nil {
			return err
		}
		if _, known := m.names.nums[f]; !known && !f.IsSystem() {
			fresh[f] = struct{}{}
		}
	}
	for i := range flaggings {
		f := &flaggings[i]
		m.names.number(f.Flag)
		m.wishes = append(m.wishes, wish{flag: &f.Register, uid: uint32(f.UID)})
	}
	return nil
}

// checkFlag says whether a flag can be written, beside so many new keywords that are to be written with it.
func (m *Manager) checkFlag(f mail.Flag, fresh int) error {
	if len(f) == 0 || len(f) > KeywordLenMax {
		return cluster.Errorf(cluster.KindInvalid, "set a flag", "%q has %d octets: 1 to %d are allowed", f, len(f), KeywordLenMax)
	}
	if _, known := m.names.nums[f]; !known && !f.IsSystem() && m.names.keywords+fresh >= KeywordsMax {
		return cluster.Errorf(cluster.KindLimit, "set a flag", "%q would be one more than the %d different keywords that a folder may have", f, KeywordsMax)
	}
	return nil
}
