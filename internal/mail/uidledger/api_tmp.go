package uidledger

import (
	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// Set is the ledger replicas of a folder in one version, decided by a majority of the version before (L9). It never
// changes under one version.
type Set struct {
	Version     uint64
	UIDValidity uint32   // of the folder under this version and later ones, until it grows (L12)
	FloorUID    uint64   // all leases under this version lie above
	FloorModSeq uint64   // the same for modification sequences
	Members     []Member // ascending by node, at most LanesMax
}

// Member is one replica of a set, and the lane its leases lie in: no other member has it.
type Member struct {
	Node cluster.NodeID
	Lane uint8
}

// FirstSet is the set that a folder begins with, version 1. It must be the same wherever the folder is opened: it is
// decided when the folder is made, and kept with it.
func FirstSet(nodes cluster.ReplicaSet, uidValidity uint32) Set { return Set{} }

// Nodes are the members.
func (s *Set) Nodes() cluster.ReplicaSet { return nil }

// HeadID, ChunkID and GrantID name the objects of a folder's ledger.
func HeadID(f mail.FolderID) string                       { return f.String() + "h" }
func ChunkID(f mail.FolderID, n uint32) string            { return "" }
func GrantID(f mail.FolderID, node cluster.NodeID) string { return "" }

// ParseID says what an object of type ledger is: kind 'h', 'c' or 'g', and the number of a chunk.
func ParseID(id string) (f mail.FolderID, kind byte, n uint32, err error) { return f, 0, 0, nil }

// Merge joins two versions of one ledger object: the cluster.TypeSpec.Merge of the type. It is commutative, associative
// and idempotent, and gives the same bytes everywhere.
func Merge(a, b []byte) ([]byte, error) { return nil, nil }

// Request is what a manager asks of one ledger replica.
type Request struct{}

// Reply is the answer.
type Reply struct{}

func (r *Request) Marshal() []byte           { return nil }
func ParseRequest(b []byte) (Request, error) { return Request{}, nil }
func (r *Reply) Marshal() []byte             { return nil }
func ParseReply(b []byte) (Reply, error)     { return Reply{}, nil }

// Decide is a replica's answer to a request. state is the contents of its own grant object, nil if there is none. It
// returns the contents that must be durable BEFORE the reply goes out (nil: nothing to write). An error is of
// KindInvalid or KindCorrupt; a refusal is a reply.
func Decide(self cluster.NodeID, state []byte, r *Request) (next []byte, reply Reply, err error) {
	return nil, Reply{}, nil
}

// Config is what a manager begins with.
type Config struct {
	Self   cluster.NodeID // the node of this manager: its ballots have it
	Folder mail.FolderID
	First  Set // see FirstSet
}

// Manager works on one folder's ledger.
type Manager struct{}

// New makes a manager that knows nothing yet.
func New(c Config) *Manager { return &Manager{} }

// Snapshot is ledger objects as one replica has them.
type Snapshot struct {
	Node cluster.NodeID
	// Full says that these are all ledger objects of the folder there, read after any earlier failure to reach the
	// node, the head BEFORE the chunks. From then on the manager writes to it. Without Full it is news of some
	// objects: a change feed's, for example.
	Full   bool
	Head   []byte            // nil: there is none, or (without Full) it is not news
	Chunks map[uint32][]byte // by number
}

// Read takes in what a replica has. Errors are of KindCorrupt.
func (m *Manager) Read(s Snapshot) error { return nil }

// Lost says that a node can no longer be reached: nothing is written to it until it is read again.
func (m *Manager) Lost(node cluster.NodeID) {}

// Register is a flag of a message as last written: On or not, and when (L11).
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
}

// Departure is a message that is proven to lie in the folder no more: deleted, or its newest stay is elsewhere. What
// cannot be found at the moment has not departed.
type Departure struct {
	ID      mail.MessageID
	Deleted bool // the message is no more, in any folder
}

// Flagging is one flag of one message, set or taken away.
type Flagging struct {
	UID mail.UID
	Register
}

func (m *Manager) Arrive(a ...Arrival)          {}
func (m *Manager) Depart(d ...Departure)        {}
func (m *Manager) SetFlags(f ...Flagging) error { return nil }
func (m *Manager) Expunge(uids mail.UIDSet)     {}

// Propose wants other ledger replicas (L9): decided by a majority of the present ones.
func (m *Manager) Propose(nodes cluster.ReplicaSet) {}

// Renew wants a greater UIDVALIDITY, and all UIDs anew (L12).
func (m *Manager) Renew(uidValidity uint32) {}

// Step is the next thing to do: requests, or objects to be written.
type Step struct {
	Ask   []Ask    // to be sent to all at once; then Answered
	Write []Object // to be made durable on every node of On; then Written
	On    cluster.ReplicaSet
}

type Ask struct {
	Node    cluster.NodeID
	Request Request
}

// Object is one object to write: it is joined to what is there.
type Object struct {
	ID       string
	Contents []byte
	Deleted  bool // to be removed
}

// Answer is what came of an Ask.
type Answer struct {
	Node  cluster.NodeID
	Reply Reply
	Err   error // no answer
}

// Next gives the next step towards all that is wanted being shown. false: there is none now; see Waiting.
func (m *Manager) Next() (Step, bool) { return Step{}, false }

// Answered takes the answers to the last step's requests. Who is missing did not answer.
func (m *Manager) Answered(a []Answer) {}

// Written says on which nodes all objects of the last step are durable.
func (m *Manager) Written(durable cluster.ReplicaSet) {}

// Waiting says why something that is wanted cannot be done: KindUnavailable (no replica, or no numbers until a
// majority is reached), KindLimit (no UIDs are left: Renew). nil: all is shown.
func (m *Manager) Waiting() error { return nil }

// View is what may be shown.
func (m *Manager) View() *View { return nil }

// View is the folder as clients may be shown it.
type View struct{}

// Entry is one message of the view.
type Entry struct {
	UID    mail.UID
	ID     mail.MessageID
	Stay   cluster.Timestamp
	Flags  []mail.Flag // ascending, none twice
	ModSeq mail.ModSeq
}

func (v *View) UIDValidity() uint32                    { return 0 }
func (v *View) UIDNext() mail.UID                      { return 0 }
func (v *View) HighestModSeq() mail.ModSeq             { return 0 }
func (v *View) Len() int                               { return 0 }
func (v *View) UIDs() mail.UIDSet                      { return nil }
func (v *View) UID(id mail.MessageID) (mail.UID, bool) { return 0, false }
func (v *View) Get(u mail.UID) (Entry, bool)           { return Entry{}, false }

// Range yields the messages from first to last (both included), ascending, until yield gives false.
func (v *View) Range(first, last mail.UID, yield func(*Entry) bool) {}

// ChangedSince yields the messages with a greater modification sequence, ascending by UID.
func (v *View) ChangedSince(since mail.ModSeq, yield func(*Entry) bool) {}

// VanishedSince gives the UIDs that went after since. known is what the client knows, nil: all. complete false: expunges before were
// forgotten, and all that is gone of known is given (RFC 7162 §3.2.5.2).
func (v *View) VanishedSince(since mail.ModSeq, known mail.UIDSet) mail.UIDSet { return nil }

// Registers are all flags of a message as last written, also those taken away: to be carried to another folder.
func (v *View) Registers(u mail.UID) []Register { return nil }

// Behind reports whether a client has seen more than this view has (L13): then it must not be told that anything
// vanished, and no session may go on with it.
func (v *View) Behind(uidValidity uint32, modseq mail.ModSeq, uidNext mail.UID, known mail.UIDSet) bool {
	return false
}
