package uidledger

import (
	"encoding/binary"
	"fmt"

	"porcupine/internal/cluster"
)

// RequestKind says what a request asks for.
type RequestKind uint8

const (
	// AskDense asks to raise the ceiling from at most After to Upto (L2).
	AskDense RequestKind = iota + 1
	// AskLane asks for Count lane leases above After (L3).
	AskLane
	// AskRaise asks to raise the ceiling to at least Upto: what the majority knows, a replica may count from (L9).
	AskRaise
	// AskPrepare asks for a promise to accept nothing below Ballot as the next set.
	AskPrepare
	// AskAccept asks to accept Next as the next set.
	AskAccept
)

// Ballot orders the attempts to decide the next set.
type Ballot struct {
	Number uint64
	Node   cluster.NodeID // of the manager
}

func (b Ballot) less(c Ballot) bool {
	return b.Number < c.Number || b.Number == c.Number && b.Node < c.Node
}

// Request is what a manager asks of one ledger replica.
//
// Form, after the octets 'Q' 1, integers big-endian: kind u8; set as in a head; counter u8, after u64, upto u64, count
// u8, two times agreed u64; ballot: number u64, node u64; next set (version 0: none).
type Request struct {
	Kind RequestKind
	Set  Set // the newest that the manager knows to be decided: the replica takes it over

	Counter     Counter
	After, Upto uint64 // After of a vote: the highest UID that is known to have been given (IsUsed)
	Count       uint8
	// Agreed is the largest number such that a majority of Set is known to have a ceiling of at least it, each told
	// while it had promised nothing. A replica's budget counts from it.
	Agreed [counters]uint64

	Ballot Ballot
	Next   Set
}

// IsUsed reports a request of somebody who knows of numbers that were given. Below that, a replica that has no grant object has granted nothing
// that anybody knows of.
func (r *Request) IsUsed() bool { return r.Kind == AskRaise || r.After >= r.Counter.first() }

// Verdict is what a replica says to a request.
type Verdict uint8

const (
	// Yes: it is done, and durable.
	Yes Verdict = iota + 1
	// Raised: its ceiling is above After already.
	Raised
	// Spent: its budget is used up until a majority is told (L9).
	Spent
	// Promised: the next set is being decided, or a higher ballot was promised.
	Promised
	// Newer: it knows of a newer set, which the reply has.
	Newer
	// Stranger: it is no member.
	Stranger
	// Exhausted: no numbers are left (L8).
	Exhausted
	// Differs: it knows another set of the same version. The first set was not the same everywhere.
	Differs
	verdicts
)

var verdictNames = [...]string{"", "yes", "its ceiling is higher", "its budget is spent", "the next set is being decided", "it knows a newer set",
	"it is no member", "no numbers are left", "it knows another set of that version"}

func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}

// Reply is the answer to a request, with all that the replica knows.
//
// Form, after the octets 'A' 1: verdict u8; first u64 and leases u8 of what was granted; then the replica's state, as
// in its grant object from the set on.
type Reply struct {
	Verdict Verdict
	// First is the first number of the first lane lease granted, Leases how many there are, a superblock apart.
	First  uint64
	Leases uint8
	State  Grant
}

// Grant is a replica's own durable state for one folder: its grant object. It lies on that replica alone, and never
// goes back.
//
// Form, after the octets 'G' 1, integers big-endian: set as in a head; for UIDs and for modification sequences: ceiling
// u64, base u64; promised ballot: number u64, node u64; accepted ballot: the same; accepted set (version 0: none).
type Grant struct {
	Set      Set // the newest decided one that it was told
	Counters [counters]Ceiling
	// Of the decision on the set after Set:
	Promised Ballot
	Accepted Ballot
	Next     Set
}

// Ceiling is one counter at a replica.
type Ceiling struct {
	Ceil uint64 // nothing that it had part in granting lies above
	Base uint64 // a majority of Set is known to have a ceiling of at least Base; Ceil stays within the budget above
}

func appendBallot(b []byte, x Ballot) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, x.Number), uint64(x.Node))
}

func (p *parser) ballot() Ballot { return Ballot{p.U64(), cluster.NodeID(p.U64())} }

// Marshal writes the request in its one form.
func (r *Request) Marshal() []byte {
	b := appendSet([]byte{'Q', formVersion, byte(r.Kind)}, &r.Set)
	b = append(b, byte(r.Counter))
	b = binary.BigEndian.AppendUint64(b, r.After)
	b = binary.BigEndian.AppendUint64(b, r.Upto)
	b = append(b, r.Count)
	for _, a := range r.Agreed {
		b = binary.BigEndian.AppendUint64(b, a)
	}
	return appendSet(appendBallot(b, r.Ballot), &r.Next)
}

// ParseRequest reads what Marshal writes, and no other form. Errors are of KindInvalid.
func ParseRequest(b []byte) (Request, error) {
	p := newParser("read a request to a ledger replica", b, 'Q', HeadSizeMax)
	r := Request{Kind: RequestKind(p.U8()), Set: p.set(), Counter: Counter(p.U8()), After: p.U64(), Upto: p.U64(), Count: p.U8()}
	for c := range r.Agreed {
		r.Agreed[c] = p.U64()
	}
	r.Ballot, r.Next = p.ballot(), p.set()
	if r.Kind == 0 || r.Kind > AskAccept || r.Counter >= counters || r.Set.Version == 0 || r.Count > LaneLeasesMax || max(r.After, r.Upto) > ModSeqMax+1 {
		p.Fail("kind %d of counter %d: unknown, or too much", r.Kind, r.Counter)
	}
	if (r.Kind == AskAccept) != (r.Next.Version != 0) || r.Kind == AskAccept && (r.Next.Version != r.Set.Version+1 || r.Next.UIDValidity < r.Set.UIDValidity) {
		p.Fail("a set of version %d to follow that of version %d", r.Next.Version, r.Set.Version)
	}
	if err := p.End(); err != nil {
		return Request{}, err
	}
	return r, nil
}

// Marshal writes the reply in its one form.
func (r *Reply) Marshal() []byte {
	b := binary.BigEndian.AppendUint64([]byte{'A', formVersion, byte(r.Verdict)}, r.First)
	return r.State.append(append(b, r.Leases))
}

// ParseReply reads what Marshal writes, and no other form. Errors are of KindInvalid.
func ParseReply(b []byte) (Reply, error) {
	p := newParser("read the reply of a ledger replica", b, 'A', HeadSizeMax)
	r := Reply{Verdict: Verdict(p.U8()), First: p.U64(), Leases: p.U8(), State: p.grant()}
	if r.Verdict == 0 || r.Verdict >= verdicts || r.Leases > LaneLeasesMax || r.First > ModSeqMax {
		p.Fail("verdict %d, %d leases from %d on", r.Verdict, r.Leases, r.First)
	}
	if err := p.End(); err != nil {
		return Reply{}, err
	}
	return r, nil
}

func (g *Grant) append(b []byte) []byte {
	b = appendSet(b, &g.Set)
	for _, c := range g.Counters {
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, c.Ceil), c.Base)
	}
	return appendSet(appendBallot(appendBallot(b, g.Promised), g.Accepted), &g.Next)
}

func (p *parser) grant() (g Grant) {
	g.Set = p.set()
	for c := range g.Counters {
		g.Counters[c] = Ceiling{p.U64(), p.U64()}
	}
	g.Promised, g.Accepted, g.Next = p.ballot(), p.ballot(), p.set()
	return g
}

// Marshal writes the grant object in its one form.
func (g *Grant) Marshal() []byte { return g.append([]byte{'G', formVersion}) }

// ParseGrant reads what Marshal writes, and no other form. Errors are of KindInvalid.
func ParseGrant(b []byte) (Grant, error) {
	p := newParser("read the grant object of a UID ledger", b, 'G', HeadSizeMax)
	g := p.grant()
	if err := p.End(); err != nil {
		return Grant{}, err
	}
	return g, nil
}
