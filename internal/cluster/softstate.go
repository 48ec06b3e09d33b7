package cluster

// Fragment is the part of one owner's objects of one type that one set of nodes holds
// (Porcupine §3, "mailbox fragment").
type Fragment struct {
	Type     ObjectType
	Replicas ReplicaSet
	Count    int64 // objects, tombstones not counted
	Bytes    int64 // of contents
}

// CachedObject is an object of a type whose contents the manager keeps (TypeSpec.Cached).
type CachedObject struct {
	Object   Object
	Contents []byte
}

// Holding is all that one node holds for one owner, as its disk had it at one moment. It is the
// unit of soft-state reconstruction: a node sends the manager its holdings of a bucket, and
// afterwards the new holding of an owner whenever it changed in a way the manager must know (a
// fragment came or went, or a cached object changed). An empty Holding says "nothing any more".
type Holding struct {
	Owner     string
	Fragments []Fragment     // ordered by type, then replica set
	Cached    []CachedObject // ordered by type, then id; tombstones included
	// Seq orders the holdings of one owner that one node sends: it grows with every commit of
	// that node, across its restarts too. The manager ignores a holding older than the one it has.
	Seq uint64
}

// IsEmpty reports whether the node holds nothing for the owner.
func (h Holding) IsEmpty() bool { return len(h.Fragments) == 0 && len(h.Cached) == 0 }

// Entry is what the manager knows of an owner: the union of the members' holdings.
type Entry struct {
	Owner     string
	Fragments []Placed       // the mail map: one for each type and replica set
	Cached    []CachedObject // the newest of each, by timestamp; tombstones included
	Knowledge Knowledge
}

// Placed is a fragment and the members that said they hold it: those to ask for it.
type Placed struct {
	Fragment
	Holders []NodeID // ascending; live members of the manager's view
}

// Find gives the cached object of that type and id, unless it is absent or a tombstone.
func (e *Entry) Find(t ObjectType, id string) (CachedObject, bool) {
	for _, c := range e.Cached {
		if c.Object.ID.Type == t && c.Object.ID.ID == id {
			return c, !c.Object.Deleted
		}
	}
	return CachedObject{}, false
}

// Gone reports whether the last that was heard of the owner's cached objects is a deletion: there are some, and the newest is a
// tombstone. A service that removes several of them removes first the one by which the others are found: what is left for a while
// then is older.
func (e *Entry) Gone() bool {
	if len(e.Cached) == 0 {
		return false
	}
	newest := &e.Cached[0].Object
	for i := range e.Cached {
		if o := &e.Cached[i].Object; newest.Timestamp.Compare(o.Timestamp) < 0 {
			newest = o
		}
	}
	return newest.Deleted
}

// Knowledge says how much an Entry proves.
type Knowledge uint8

const (
	// Partial: not every member has reported the bucket. What is in the entry is true, what is
	// missing from it may exist.
	Partial Knowledge = iota
	// Complete: every member has reported the bucket. Objects may still lie on absent nodes only.
	Complete
	// Conclusive: complete, and so few nodes are absent that a cached object (a profile) that
	// is not in the entry does not exist anywhere: at most one, and none if the entry is Gone. Only then may
	// a client be told so for good (V1: never 5xx from ignorance).
	Conclusive
)

func (k Knowledge) String() string {
	return [...]string{"partial", "complete", "conclusive"}[k]
}
