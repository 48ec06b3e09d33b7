package search

import (
	"cmp"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/message"
)

// Limits of sorting.
const (
	CriteriaMax = 32 // criteria of one sort
	// SortTextMax is how much of a text is compared, in folded octets: texts that are the same so far count as
	// equal. It bounds the memory that a sort needs for a message.
	SortTextMax = 512
)

// By is what to sort by.
type By uint8

// The criteria (RFC 5256 §3, RFC 5957 §3).
const (
	ByArrival     By = iota // INTERNALDATE
	ByCc                    // the local part of the first address of Cc
	ByDate                  // the sent date
	ByFrom                  // as ByCc
	BySize                  // RFC822.SIZE
	BySubject               // the base subject
	ByTo                    // as ByCc
	ByDisplayFrom           // the name of the first address of From, or else the address
	ByDisplayTo             // as ByDisplayFrom

	byEnd
)

// Criterion is one criterion of a sort.
type Criterion struct {
	By      By
	Reverse bool
}

// Sorter sorts messages: add them, then take the order. Equal messages stand in the order of their UIDs, reversed criteria or not
// (RFC 5256 §3: by sequence number). It belongs to one goroutine, and holds no more of a
// message than what its criteria compare.
type Sorter struct {
	criteria []Criterion
	stage    Stage
	uids     []mail.UID
	keys     []sortKey // len(criteria) of each message
	fold     folder
	buf      []byte
}

// sortKey is what one criterion compares of one message: a number or a text.
type sortKey struct {
	number int64
	text   string
}

// NewSorter makes a sorter. KindInvalid: no criteria, or one that is none. KindLimit: more than CriteriaMax. A criterion that has come
// before decides nothing and is left out.
func NewSorter(criteria []Criterion) (*Sorter, error) {
	const op = "sort"
	switch {
	case len(criteria) == 0:
		return nil, cluster.Errorf(cluster.KindInvalid, op, "no criteria")
	case len(criteria) > CriteriaMax:
		return nil, cluster.Errorf(cluster.KindLimit, op, "%d criteria, at most %d", len(criteria), CriteriaMax)
	}
	s := &Sorter{}
	for _, c := range criteria {
		if c.By >= byEnd {
			return nil, cluster.Errorf(cluster.KindInvalid, op, "unknown criterion %d", c.By)
		}
		if slices.ContainsFunc(s.criteria, func(have Criterion) bool { return have.By == c.By }) {
			continue
		}
		s.criteria = append(s.criteria, c)
		if c.By != ByArrival && c.By != BySize {
			s.stage = StageStructure
		}
	}
	return s, nil
}

// Stage is what Add needs to know: StageSummary (the structure may be nil) or StageStructure.
func (s *Sorter) Stage() Stage { return s.stage }

// Add takes one message. It keeps neither the summary nor the structure.
func (s *Sorter) Add(m *mail.Summary, x *message.Index) {
	s.uids = append(s.uids, m.UID)
	for _, c := range s.criteria {
		s.keys = append(s.keys, s.key(c.By, m, x))
	}
}

func (s *Sorter) key(by By, m *mail.Summary, x *message.Index) sortKey {
	switch by {
	case ByArrival:
		return sortKey{number: m.Received.UnixNano()}
	case BySize:
		return sortKey{number: m.Size}
	case ByDate:
		return sortKey{number: mail.UnixNano(sentDate(m, x))}
	case BySubject:
		subject, _ := BaseSubject(message.DecodeHeader(x.Root.Envelope.Subject.Text))
		return s.text(subject)
	case ByCc:
		return s.text(firstMailbox(x.Root.Envelope.Cc))
	case ByFrom:
		return s.text(firstMailbox(x.Root.Envelope.From))
	case ByTo:
		return s.text(firstMailbox(x.Root.Envelope.To))
	case ByDisplayFrom:
		return s.text(firstName(x.Root.Envelope.From))
	default:
		return s.text(firstName(x.Root.Envelope.To))
	}
}

// text is the key of a text: folded, as much of it as is compared.
func (s *Sorter) text(text string) sortKey {
	if text == "" {
		return sortKey{}
	}
	// No character becomes shorter than a third of itself when folded: what is further on cannot come into the key.
	const enough = 4 * SortTextMax
	more := len(text) > enough
	s.buf, _ = s.fold.append(s.buf[:0], []byte(text[:min(len(text), enough)]), more)
	return sortKey{text: string(s.buf[:min(len(s.buf), SortTextMax)])}
}

// sentDate is the date of the Date field, of INTERNALDATE if there is none that can be read (RFC 5256 §2.2).
func sentDate(m *mail.Summary, x *message.Index) time.Time {
	if x.Sent.IsZero() {
		return m.Received
	}
	return x.Sent
}

// firstMailbox is the addr-mailbox of the first address, decoded (RFC 5256 §3).
func firstMailbox(list []message.Address) string {
	if len(list) == 0 {
		return ""
	}
	return message.DecodeHeader(list[0].Mailbox.Text)
}

// firstName is the display value of the first address (RFC 5957 §3): its name, decoded, or else the address.
func firstName(list []message.Address) string {
	if len(list) == 0 {
		return ""
	}
	if name := message.DecodeHeader(list[0].Name.Text); name != "" {
		return name
	}
	return list[0].String()
}

// Sorted gives the UIDs in their order.
func (s *Sorter) Sorted() []mail.UID {
	n := len(s.criteria)
	order := make([]int, len(s.uids))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		for i, c := range s.criteria {
			x, y := &s.keys[a*n+i], &s.keys[b*n+i]
			d := cmp.Compare(x.number, y.number)
			if d == 0 {
				d = cmp.Compare(x.text, y.text)
			}
			if d != 0 && c.Reverse {
				return -d
			}
			if d != 0 {
				return d
			}
		}
		return cmp.Compare(s.uids[a], s.uids[b])
	})
	sorted := make([]mail.UID, len(order))
	for i, at := range order {
		sorted[i] = s.uids[at]
	}
	return sorted
}
