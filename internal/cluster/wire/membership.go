package wire

import (
	"math"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/wire/field"
)

// ContactsMax is how many contacts each list of a membership message may have.
const ContactsMax = membership.KnownMax

// MarshalMessage writes a membership message.
func MarshalMessage(m *membership.Message) []byte {
	var b []byte
	b = field.Uint(b, 1, uint64(m.Kind))
	b = field.Message(b, 2, func(b []byte) []byte { return appendEndpoint(b, m.From) })
	b = field.Bool(b, 3, m.Sole)
	b = appendEpochField(b, 4, m.Installed)
	b = field.Uint(b, 5, natural(m.Size))
	b = field.Bool(b, 6, m.Member)
	b = field.Fixed(b, 7, m.Nonce)
	b = appendEpochField(b, 8, m.Epoch)
	b = appendEpochField(b, 9, m.Promised)
	b = field.Bool(b, 10, m.Busy)
	b = appendEpochField(b, 11, m.Yours)
	b = field.Bool(b, 12, m.Leaving)
	b = field.Message(b, 13, func(b []byte) []byte { return appendEndpoint(b, m.Coordinator) })
	b = appendContacts(b, 14, m.Members)
	b = field.Fixed(b, 15, m.Digest)
	b = appendContacts(b, 16, m.Known)
	if m.View != nil {
		b = field.Element(b, 17, func(b []byte) []byte { return appendView(b, m.View) })
	}
	b = field.Uint(b, 18, m.Boot)
	b = field.Fixed(b, 19, m.Process)
	b = field.Message(b, 20, func(b []byte) []byte { return appendLife(b, &m.Last) })
	b = field.Uint(b, 21, uint64(m.Why))
	b = field.Fixed(b, 22, m.Refused)
	for i := range m.Lives {
		b = field.Element(b, 23, func(b []byte) []byte { return appendLife(b, &m.Lives[i]) })
	}
	b = field.Fixed(b, 24, m.Found)
	return field.Fixed(b, 25, m.Durable)
}

// appendLife writes the fields of a Life.
func appendLife(b []byte, l *membership.Life) []byte {
	b = field.Uint(b, 1, l.Boot)
	b = field.Fixed(b, 2, l.Process)
	b = appendEpochField(b, 3, l.In)
	b = field.Fixed(b, 4, l.Durable)
	return field.Fixed(b, 5, l.Before)
}

// unmarshalLife reads what appendLife writes.
func unmarshalLife(b []byte) (l membership.Life, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			l.Boot = r.Uint()
		case 2:
			l.Process = r.Fixed()
		case 3:
			l.In = field.Decode(r, UnmarshalEpoch)
		case 4:
			l.Durable = r.Fixed()
		case 5:
			l.Before = r.Fixed()
		}
	}
	return l, r.Err()
}

func appendEpochField(b []byte, n field.Number, e cluster.Epoch) []byte {
	return field.Message(b, n, func(b []byte) []byte { return AppendEpoch(b, e) })
}

func appendContacts(b []byte, n field.Number, list []membership.Contact) []byte {
	for i := range list {
		b = field.Element(b, n, func(b []byte) []byte { return appendContact(b, &list[i]) })
	}
	return b
}

// UnmarshalMessage reads what MarshalMessage writes. The message has a kind, which this version may
// not know: the core that gets it decides.
func UnmarshalMessage(b []byte) (*membership.Message, error) {
	var m membership.Message
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			m.Kind = membership.Kind(r.UintMax(math.MaxUint8))
		case 2:
			m.From = field.Decode(r, unmarshalEndpoint)
		case 3:
			m.Sole = r.Bool()
		case 4:
			m.Installed = field.Decode(r, UnmarshalEpoch)
		case 5:
			m.Size = int(r.UintMax(math.MaxInt32))
		case 6:
			m.Member = r.Bool()
		case 7:
			m.Nonce = r.Fixed()
		case 18:
			m.Boot = r.Uint()
		case 19:
			m.Process = r.Fixed()
		case 20:
			m.Last = field.Decode(r, unmarshalLife)
		case 24:
			m.Found = r.Fixed()
		case 25:
			m.Durable = r.Fixed()
		default:
			unmarshalByKind(r, &m)
		}
	}
	if m.Kind == 0 {
		r.Fail("membership message without a kind")
	}
	if r.Err() != nil {
		return nil, r.Err()
	}
	return &m, nil
}

// unmarshalByKind reads a field that only some kinds of message have.
func unmarshalByKind(r *field.Reader, m *membership.Message) {
	switch r.Num() {
	case 8:
		m.Epoch = field.Decode(r, UnmarshalEpoch)
	case 9:
		m.Promised = field.Decode(r, UnmarshalEpoch)
	case 10:
		m.Busy = r.Bool()
	case 11:
		m.Yours = field.Decode(r, UnmarshalEpoch)
	case 12:
		m.Leaving = r.Bool()
	case 13:
		m.Coordinator = field.Decode(r, unmarshalEndpoint)
	case 14:
		m.Members = field.DecodeElement(r, m.Members, ContactsMax, unmarshalContact)
	case 15:
		m.Digest = r.Fixed()
	case 16:
		m.Known = field.DecodeElement(r, m.Known, ContactsMax, unmarshalContact)
	case 17:
		m.View = field.Decode(r, unmarshalView)
	case 21:
		m.Why = membership.Refusal(r.UintMax(math.MaxUint8))
	case 22:
		m.Refused = r.Fixed()
	case 23:
		m.Lives = field.DecodeElement(r, m.Lives, ContactsMax, unmarshalLife)
	}
}

// appendContact writes the fields of a Contact.
func appendContact(b []byte, c *membership.Contact) []byte {
	b = field.Message(b, 1, func(b []byte) []byte {
		b = field.Message(b, 1, func(b []byte) []byte { return appendEndpoint(b, c.Endpoint) })
		return field.Bool(b, 2, c.Sole)
	})
	b = appendEpochField(b, 2, c.Heard)
	b = field.Bool(b, 3, c.Removed)
	return field.Message(b, 4, func(b []byte) []byte { return appendLife(b, &c.Life) })
}

// unmarshalContact reads what appendContact writes. The contact has an id.
func unmarshalContact(b []byte) (c membership.Contact, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			c.Known = field.Decode(r, unmarshalKnown)
		case 2:
			c.Heard = field.Decode(r, UnmarshalEpoch)
		case 3:
			c.Removed = r.Bool()
		case 4:
			c.Life = field.Decode(r, unmarshalLife)
		}
	}
	if c.ID == cluster.NoNode {
		r.Fail("contact without an id")
	}
	return c, r.Err()
}

func unmarshalKnown(b []byte) (k cluster.Known, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			k.Endpoint = field.Decode(r, unmarshalEndpoint)
		case 2:
			k.Sole = r.Bool()
		}
	}
	return k, r.Err()
}

// MarshalPersistent writes what a membership core must remember across restarts: the same format
// serves on disk.
func MarshalPersistent(p *membership.Persistent) []byte {
	b := appendEpochField(nil, 1, p.Promised)
	b = appendContacts(b, 2, p.Contacts)
	b = field.Uint(b, 3, p.Boot)
	for i := range p.Absences {
		b = field.Element(b, 4, func(b []byte) []byte { return appendAbsence(b, p.Absences[i]) })
	}
	b = field.Message(b, 5, func(b []byte) []byte { return appendLife(b, &p.Last) })
	return field.Fixed(b, 6, p.Found)
}

// appendAbsence writes the fields of an Absence, the time in nanoseconds.
func appendAbsence(b []byte, a membership.Absence) []byte {
	b = field.Fixed(b, 1, uint64(a.ID))
	return field.Uint(b, 2, uint64(max(a.For, 0)))
}

// unmarshalAbsence reads what appendAbsence writes. The absence has an id.
func unmarshalAbsence(b []byte) (a membership.Absence, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			a.ID = cluster.NodeID(r.Fixed())
		case 2:
			a.For = time.Duration(r.UintMax(math.MaxInt64))
		}
	}
	if a.ID == cluster.NoNode {
		r.Fail("absence without an id")
	}
	return a, r.Err()
}

// UnmarshalPersistent reads what MarshalPersistent writes.
func UnmarshalPersistent(b []byte) (*membership.Persistent, error) {
	var p membership.Persistent
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			p.Promised = field.Decode(r, UnmarshalEpoch)
		case 2:
			p.Contacts = field.DecodeElement(r, p.Contacts, ContactsMax, unmarshalContact)
		case 3:
			p.Boot = r.Uint()
		case 4:
			p.Absences = field.DecodeElement(r, p.Absences, ContactsMax, unmarshalAbsence)
		case 5:
			p.Last = field.Decode(r, unmarshalLife)
		case 6:
			p.Found = r.Fixed()
		}
	}
	if r.Err() != nil {
		return nil, r.Err()
	}
	return &p, nil
}
