package talk

import (
	"math"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
)

// Marshal writes the question.
func (q *Question) Marshal() []byte {
	w := writer{b: []byte{version}}
	w.fieldUint(1, uint64(q.Op))
	w.fieldText(2, string(q.User))
	w.fieldID(3, q.Request)
	w.fieldText(4, q.Name)
	w.fieldText(5, q.To)
	w.fieldText(6, q.Use)
	w.fieldID(7, q.Folder)
	w.fieldID(8, q.From)
	if q.Mark != (Mark{}) {
		w.begin(9)
		w.mark(&q.Mark)
	}
	w.fieldSet(10, q.UIDs)
	w.fieldUint(11, uint64(q.After))
	w.fieldUint(12, uint64(q.ModSeq))
	w.fieldUint(13, uint64(q.FlagOp))
	if len(q.Flags) > 0 {
		w.begin(14)
		w.flags(q.Flags)
	}
	w.fieldBool(15, q.On)
	fieldList(&w, 16, q.Items, (*writer).item)
	fieldList(&w, 17, q.Values, (*writer).value)
	fieldList(&w, 18, q.Cleared, func(w *writer, s *string) { w.text(*s) })
	fieldList(&w, 19, q.Messages, func(w *writer, id *mail.MessageID) { w.raw(id[:]) })
	return w.b
}

// ParseQuestion reads what Marshal writes. KindInvalid: it is not that.
func ParseQuestion(b []byte) (q Question, err error) {
	r := newReader("read a question about mail", b)
	for f := r.field(); f != 0; f = r.field() {
		switch f {
		case 1:
			q.Op = Op(r.some(uint64(opEnd) - 1))
		case 2:
			q.User = mail.User(r.someText(cluster.OwnerLengthMax))
		case 3:
			q.Request = r.someID()
		case 4:
			q.Name = r.someText(NameMax)
		case 5:
			q.To = r.someText(NameMax)
		case 6:
			q.Use = r.someText(NameMax)
		case 7:
			q.Folder = r.someID()
		case 8:
			q.From = r.someID()
		case 9:
			q.Mark = r.mark()
			if q.Mark == (Mark{}) {
				r.Fail("a field is empty")
			}
		default:
			q.more(r, f)
		}
	}
	if q.Op == 0 || q.User == "" {
		r.Fail("a question without user or without what it asks for")
	}
	return q, r.End()
}

func (q *Question) more(r *reader, field int) {
	switch field {
	case 10:
		q.UIDs = r.someSet()
	case 11:
		q.After = mail.UID(r.some(math.MaxUint32))
	case 12:
		q.ModSeq = mail.ModSeq(r.some(math.MaxInt64))
	case 13:
		q.FlagOp = backend.FlagOp(r.some(uint64(backend.FlagsRemove)))
	case 14:
		if q.Flags = r.flags(FlagsMax); len(q.Flags) == 0 {
			r.Fail("a field is empty")
		}
	case 15:
		q.On = true
	case 16:
		q.Items = readList(r, PageMax, (*reader).item)
	case 17:
		q.Values = readList(r, ValuesMax, (*reader).value)
	case 18:
		q.Cleared = readList(r, ValuesMax, func(r *reader, s *string) { *s = r.text(NameMax) })
	case 19:
		q.Messages = readList(r, PageMax, func(r *reader, id *mail.MessageID) { *id = r.id() })
	default:
		r.Fail("field %d is unknown", field)
	}
}

func (w *writer) mark(m *Mark) {
	w.uint(uint64(m.Validity))
	w.uint(uint64(m.Next))
	w.uint(uint64(m.ModSeq))
	w.text(m.Seen)
}

// seenMax bounds Mark.Seen.
const seenMax = 64

func (r *reader) mark() Mark {
	return Mark{Validity: uint32(r.uint(math.MaxUint32)), Next: r.uid(), ModSeq: mail.ModSeq(r.uint(math.MaxInt64)), Seen: r.text(seenMax)}
}

func (w *writer) value(v *Value) {
	w.text(v.Name)
	w.text(v.Value)
}

func (r *reader) value(v *Value) { v.Name, v.Value = r.text(NameMax), r.text(ValueSizeMax) }

// item writes the object without its owner, which is the question's.
func (w *writer) item(i *Item) {
	o := &i.Object
	w.text(o.ID.ID)
	w.uint(uint64(o.Timestamp.Time))
	w.uint(uint64(o.Timestamp.Node))
	w.nodes(o.Replicas)
	w.uint(uint64(o.Copies))
	w.text(string(o.Attr))
	w.uint(uint64(o.Size))
	w.raw(o.Sum[:])
	w.flags(i.Flags)
}

func (r *reader) item(i *Item) {
	o := &i.Object
	o.ID = cluster.ObjectID{Type: mail.TypeMessage, ID: r.text(cluster.ObjectIDLenMax)}
	o.Timestamp.Time = int64(r.uint(math.MaxUint64))
	o.Timestamp.Node = cluster.NodeID(r.uint(math.MaxUint64))
	o.Replicas = r.nodes()
	o.Copies = int(r.uint(cluster.ReplicaSetMax))
	if attr := r.text(cluster.AttrSizeMax); attr != "" {
		o.Attr = []byte(attr)
	}
	o.Size = int64(r.uint(cluster.ObjectSizeMax))
	copy(o.Sum[:], r.Take(len(o.Sum)))
	i.Flags = r.flags(FlagsMax)
}

func (w *writer) nodes(ids []cluster.NodeID) {
	w.uint(uint64(len(ids)))
	for _, id := range ids {
		w.uint(uint64(id))
	}
}

// nodesMax bounds the nodes that may hold one message: those that listed it, and its replicas.
const nodesMax = 2 * cluster.ReplicaSetMax

func (r *reader) nodes() []cluster.NodeID {
	n := r.count(nodesMax)
	if n == 0 {
		return nil
	}
	ids := make([]cluster.NodeID, 0, n)
	for range n {
		ids = append(ids, cluster.NodeID(r.uint(math.MaxUint64)))
	}
	return ids
}
