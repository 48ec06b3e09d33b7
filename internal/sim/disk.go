package sim

import (
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
)

// The object types of the simulated service.
const (
	typeMessage cluster.ObjectType = "message"
	typeProfile cluster.ObjectType = "profile"
)

// disk is a node's hard state: what survives a crash of its process. It keeps the semantics of
// the store: an update is applied whole if it is newer, and each commit has a larger Seq.
type disk struct {
	node     cluster.NodeID
	id       cluster.ID
	started  bool
	persist  membership.Persistent
	owners   map[string]*stored
	buckets  map[cluster.Bucket][]string // owners, ascending
	seq      uint64
	lastTime int64
	sole     int // live profiles that lie here alone
}

// stored is what a disk holds of one owner.
type stored struct {
	messages []string // ids, in order of arrival
	profile  *cluster.CachedObject
	seq      uint64 // of the last commit
}

func newDisk(node cluster.NodeID, id cluster.ID) *disk {
	return &disk{node: node, id: id, owners: make(map[string]*stored), buckets: make(map[cluster.Bucket][]string)}
}

// owner gives what is stored of an owner, ready to be changed by the commit that it begins.
func (d *disk) owner(name string) *stored {
	s, ok := d.owners[name]
	if !ok {
		s = &stored{}
		d.owners[name] = s
		b := d.id.BucketOf(name)
		i, _ := slices.BinarySearch(d.buckets[b], name)
		d.buckets[b] = slices.Insert(d.buckets[b], i, name)
	}
	d.seq++
	s.seq = d.seq
	return s
}

// putMessage stores a message. announce: the manager must hear of it.
func (d *disk) putMessage(owner, id string) (announce bool) {
	if s, ok := d.owners[owner]; ok && slices.Contains(s.messages, id) {
		return false
	}
	s := d.owner(owner)
	s.messages = append(s.messages, id)
	return len(s.messages) == 1
}

// deleteMessages removes messages.
func (d *disk) deleteMessages(owner string, ids []string) (announce bool) {
	s, ok := d.owners[owner]
	if !ok || len(s.messages) == 0 {
		return false
	}
	s = d.owner(owner)
	s.messages = slices.DeleteFunc(s.messages, func(m string) bool { return slices.Contains(ids, m) })
	return len(s.messages) == 0
}

// putProfile applies an update of a profile: the newest wins (Thomas write rule).
func (d *disk) putProfile(p cluster.CachedObject) (applied bool) {
	if s, ok := d.owners[p.Object.ID.Owner]; ok && s.profile != nil && p.Object.Timestamp.Compare(s.profile.Object.Timestamp) <= 0 {
		return false
	}
	s := d.owner(p.Object.ID.Owner)
	d.sole -= d.soleCount(s.profile)
	s.profile = &p
	d.sole += d.soleCount(s.profile)
	d.lastTime = max(d.lastTime, p.Object.Timestamp.Time)
	return true
}

func (d *disk) soleCount(p *cluster.CachedObject) int {
	if p != nil && !p.Object.Deleted && len(p.Object.Replicas) == 1 {
		return 1
	}
	return 0
}

// holding gives all that lies here of an owner.
func (d *disk) holding(owner string) cluster.Holding {
	h := cluster.Holding{Owner: owner}
	s, ok := d.owners[owner]
	if !ok {
		return h
	}
	h.Seq = s.seq
	if n := int64(len(s.messages)); n > 0 {
		h.Fragments = []cluster.Fragment{{Type: typeMessage, Replicas: cluster.ReplicaSet{d.node}, Count: n, Bytes: 1000 * n}}
	}
	if s.profile != nil {
		h.Cached = []cluster.CachedObject{*s.profile}
	}
	return h
}

// scan gives the holdings of a bucket as of now.
func (d *disk) scan(b cluster.Bucket) []cluster.Holding {
	var out []cluster.Holding
	for _, owner := range d.buckets[b] {
		if h := d.holding(owner); !h.IsEmpty() {
			out = append(out, h)
		}
	}
	return out
}
