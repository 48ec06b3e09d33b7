package search

import (
	"cmp"
	"crypto/sha256"
	"slices"

	"porcupine/internal/mail"
	"porcupine/internal/mail/message"
)

// Algorithm is a way to thread.
type Algorithm uint8

// The algorithms (RFC 5256 §3).
const (
	OrderedSubject Algorithm = iota
	References
)

// Threader joins messages to threads: add them, then take the threads. It belongs to one goroutine. It keeps
// hashes of message ids and subjects, not the texts.
type Threader struct {
	algorithm Algorithm
	messages  []threaded
	refs      []hash // of all messages, one after the other
	fold      folder
	buf       []byte
}

// hash stands for a text: no two of them have the same by chance.
type hash [16]byte

// threaded is what is kept of one message.
type threaded struct {
	uid     mail.UID
	sent    int64 // the sent date in nanoseconds
	subject hash  // of the base subject, folded; zero: it is empty
	replied bool  // the subject is that of a reply or a forward
	id      hash  // zero: none
	refs    span  // of Threader.refs: its references, the oldest first
}

// span is a stretch of a list.
type span struct{ start, end int }

// NewThreader makes a threader.
func NewThreader(a Algorithm) *Threader { return &Threader{algorithm: a} }

// Add takes one message. It keeps neither the summary nor the structure.
func (t *Threader) Add(m *mail.Summary, x *message.Index) {
	base, replied := BaseSubject(message.DecodeHeader(x.Root.Envelope.Subject.Text))
	one := threaded{uid: m.UID, sent: mail.UnixNano(sentDate(m, x)), replied: replied}
	if base != "" {
		t.buf, _ = t.fold.append(t.buf[:0], []byte(base), false)
		one.subject = hashOf(t.buf)
	}
	if t.algorithm == References {
		if x.ID != "" {
			one.id = hashOf([]byte(x.ID))
		}
		one.refs.start = len(t.refs)
		for _, ref := range x.References {
			t.refs = append(t.refs, hashOf([]byte(ref)))
		}
		one.refs.end = len(t.refs)
	}
	t.messages = append(t.messages, one)
}

func hashOf(text []byte) (h hash) {
	sum := sha256.Sum256(text)
	copy(h[:], sum[:])
	return h
}

// Threads joins the messages that were added.
func (t *Threader) Threads() *Forest {
	slices.SortFunc(t.messages, func(a, b threaded) int { return cmp.Compare(a.uid, b.uid) })
	if t.algorithm == References {
		return t.references()
	}
	return t.orderedSubject()
}

// before orders messages by sent date, then UID (RFC 5256 §3).
func before(a, b *threaded) int {
	return cmp.Or(cmp.Compare(a.sent, b.sent), cmp.Compare(a.uid, b.uid))
}

// orderedSubject makes a thread of each base subject: its oldest message has all others below it (RFC 5256 §3).
func (t *Threader) orderedSubject() *Forest {
	order := make([]int32, len(t.messages))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return before(&t.messages[a], &t.messages[b]) })
	f := newForest(len(order))
	first := make(map[hash]int32, len(order)) // the first message of each subject
	last := make([]int32, len(order))         // the last child of each such message
	for _, i := range order {
		f.uids[i] = t.messages[i].uid
		root, known := first[t.messages[i].subject]
		if !known {
			first[t.messages[i].subject] = i
			last[i] = none
			f.Roots = append(f.Roots, i)
			continue
		}
		if last[root] == none {
			f.child[root] = i
		} else {
			f.sibling[last[root]] = i
		}
		last[root] = i
	}
	return f
}
