package upkeep

import (
	"encoding/binary"
	"slices"

	"porcupine/internal/cluster"
)

// The methods by which upkeep speaks to itself on other nodes. Their payloads are sequences of
// varints and of strings that follow their length; Porcupine's own, read by package upkeep alone.
const (
	methodDigest = "upkeep.digest" // digestRequest; []digest
	methodList   = "upkeep.list"   // listRequest; listAnswer
	methodLook   = "upkeep.look"   // idList; []state, one for each
	methodResend = "upkeep.resend" // idList; how many were sent again
	methodCheck  = "upkeep.check"  // checkRequest; CheckReport as JSON
	methodYoung  = "upkeep.young"  // span; true or false as JSON
	methodStatus = "upkeep.status" // empty; Status as JSON
	methodDrain  = "upkeep.drain"  // "1" or "0"; empty
)

// Limits of one payload.
const (
	bucketsMax = 64      // in a digestRequest or checkRequest
	digestsMax = 1 << 16 // in an answer: replica sets, of all buckets asked for
	listMax    = 2048    // states in a listAnswer, ids in an idList
	listBytes  = 768 << 10
)

// span is some buckets in a row.
type span struct {
	First cluster.Bucket
	Count int
}

// digest stands for all objects at rest of one bucket that lie on one replica set.
type digest struct {
	Bucket cluster.Bucket
	Set    cluster.ReplicaSet
	Count  uint64
	Hash   [2]uint64 // sums of hashes: the order does not matter
}

// listRequest asks for the objects of a bucket that the caller should have too, after an id.
type listRequest struct {
	Bucket cluster.Bucket
	From   cluster.ObjectID // the zero one: from the start
}

type listAnswer struct {
	States []state
	More   bool
}

// idList names objects of one bucket.
type idList struct {
	Bucket cluster.Bucket
	IDs    []cluster.ObjectID
}

// state is what a node has of one object.
type state struct {
	ID          cluster.ObjectID
	Held        bool // false: the rest is zero
	Deleted     bool
	Propagating bool
	Timestamp   cluster.Timestamp
	Replicas    cluster.ReplicaSet
	Sum         [32]byte
}

type writer struct{ b []byte }

func (w *writer) uint(v uint64) { w.b = binary.AppendUvarint(w.b, v) }

func (w *writer) text(s string) {
	w.uint(uint64(len(s)))
	w.b = append(w.b, s...)
}

func (w *writer) set(s cluster.ReplicaSet) {
	w.uint(uint64(len(s)))
	for _, id := range s {
		w.uint(uint64(id))
	}
}

func (w *writer) id(id cluster.ObjectID) {
	w.text(string(id.Type))
	w.text(id.Owner)
	w.text(id.ID)
}

func (w *writer) flag(f bool) {
	if f {
		w.uint(1)
	} else {
		w.uint(0)
	}
}

// reader reads what writer wrote. After the first error everything is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = cluster.Errorf(cluster.KindInvalid, "read upkeep message", "%s", what)
	}
	r.b = nil
}

// uint reads a number of at most limit, in its shortest form.
func (r *reader) uint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > limit || n > 1 && r.b[n-1] == 0 {
		r.fail("a number is malformed or too large")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) flag() bool { return r.uint(1) == 1 }

func (r *reader) text(limit uint64) string {
	n := r.uint(limit)
	if uint64(len(r.b)) < n {
		r.fail("a text is cut off")
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) set() cluster.ReplicaSet {
	var s cluster.ReplicaSet
	for range r.uint(cluster.ReplicaSetMax) {
		s = append(s, cluster.NodeID(r.uint(1<<64-1)))
	}
	if !slices.IsSorted(s) || len(slices.Compact(slices.Clone(s))) != len(s) {
		r.fail("a replica set is out of order")
		return nil
	}
	return s
}

func (r *reader) id() cluster.ObjectID {
	return cluster.ObjectID{
		Type: cluster.ObjectType(r.text(cluster.TypeLengthMax)), Owner: r.text(cluster.OwnerLengthMax), ID: r.text(cluster.ObjectIDLenMax),
	}
}

func (r *reader) bucket() cluster.Bucket { return cluster.Bucket(r.uint(cluster.BucketCount - 1)) }

// end gives the error, also if something is left over.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("there is more after its end")
	}
	return r.err
}

func (s span) marshal() []byte {
	var w writer
	w.uint(uint64(s.First))
	w.uint(uint64(s.Count))
	return w.b
}

func readSpan(b []byte) (s span, err error) {
	r := reader{b: b}
	s.First = r.bucket()
	s.Count = int(r.uint(bucketsMax))
	if r.err == nil && int(s.First)+s.Count > cluster.BucketCount {
		r.fail("there are not so many buckets")
	}
	return s, r.end()
}

func marshalDigests(list []digest) []byte {
	var w writer
	w.uint(uint64(len(list)))
	for i := range list {
		d := &list[i]
		w.uint(uint64(d.Bucket))
		w.set(d.Set)
		w.uint(d.Count)
		w.uint(d.Hash[0])
		w.uint(d.Hash[1])
	}
	return w.b
}

func readDigests(b []byte) ([]digest, error) {
	r := reader{b: b}
	var list []digest
	for n := r.uint(digestsMax); n > 0 && r.err == nil; n-- {
		list = append(list, digest{
			Bucket: r.bucket(), Set: r.set(), Count: r.uint(1<<64 - 1), Hash: [2]uint64{r.uint(1<<64 - 1), r.uint(1<<64 - 1)},
		})
	}
	return list, r.end()
}

func (q *listRequest) marshal() []byte {
	var w writer
	w.uint(uint64(q.Bucket))
	w.id(q.From)
	return w.b
}

func readListRequest(b []byte) (q listRequest, err error) {
	r := reader{b: b}
	q.Bucket, q.From = r.bucket(), r.id()
	return q, r.end()
}

func (l *idList) marshal() []byte {
	var w writer
	w.uint(uint64(l.Bucket))
	w.uint(uint64(len(l.IDs)))
	for _, id := range l.IDs {
		w.id(id)
	}
	return w.b
}

func readIDList(b []byte) (l idList, err error) {
	r := reader{b: b}
	l.Bucket = r.bucket()
	for n := r.uint(listMax); n > 0 && r.err == nil; n-- {
		l.IDs = append(l.IDs, r.id())
	}
	return l, r.end()
}

func (a *listAnswer) marshal() []byte {
	var w writer
	w.flag(a.More)
	w.uint(uint64(len(a.States)))
	for i := range a.States {
		w.state(&a.States[i])
	}
	return w.b
}

func readListAnswer(b []byte) (a listAnswer, err error) {
	r := reader{b: b}
	a.More = r.flag()
	for n := r.uint(listMax); n > 0 && r.err == nil; n-- {
		a.States = append(a.States, r.state())
	}
	return a, r.end()
}

func (w *writer) state(s *state) {
	w.id(s.ID)
	w.flag(s.Held)
	if !s.Held {
		return
	}
	w.flag(s.Deleted)
	w.flag(s.Propagating)
	w.uint(uint64(s.Timestamp.Time))
	w.uint(uint64(s.Timestamp.Node))
	w.set(s.Replicas)
	w.b = append(w.b, s.Sum[:]...)
}

func (r *reader) state() (s state) {
	s.ID = r.id()
	if s.Held = r.flag(); !s.Held {
		return s
	}
	s.Deleted, s.Propagating = r.flag(), r.flag()
	s.Timestamp = cluster.Timestamp{Time: int64(r.uint(1<<64 - 1)), Node: cluster.NodeID(r.uint(1<<64 - 1))}
	s.Replicas = r.set()
	if len(r.b) < len(s.Sum) {
		r.fail("a checksum is cut off")
		return s
	}
	r.b = r.b[copy(s.Sum[:], r.b):]
	return s
}
