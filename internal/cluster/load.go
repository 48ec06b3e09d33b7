package cluster

import "time"

// Load is a node's load measure (Porcupine §4.5): it travels on every call and every answer.
type Load struct {
	Pending  int           // durable commits asked for and not yet done
	Commit   time.Duration // recent service time of one durable commit; 0: not known
	DiskFull bool          // takes no new objects
	DiskFree int64         // bytes
	Objects  int64         // objects held of types that are not cached (messages, ledgers), tombstones not counted
	Owners   int64         // owners managed in soft state
	Draining bool          // on its way out: takes no new objects
	Sole     bool          // holds a cached object that lies on no other node, as far as it knows (see Known)
	Machine  Machine       // what the node shares with others; NoMachine: nothing, or it is of a version that does not say
}

// Stamp travels on every call and every answer between nodes: who speaks, in which epoch, what
// time it has, and how loaded it is.
type Stamp struct {
	From  NodeID
	Epoch Epoch
	Clock Timestamp
	Load  Load
}
