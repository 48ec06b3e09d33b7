package talk

import (
	"math"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
)

// Marshal writes the answer.
func (a *Answer) Marshal() []byte {
	w := writer{b: []byte{version}}
	if !isZeroStatus(&a.Status) {
		w.begin(1)
		w.status(&a.Status)
	}
	if a.Mark != (Mark{}) {
		w.begin(2)
		w.mark(&a.Mark)
	}
	w.fieldID(3, a.Folder)
	fieldList(&w, 4, a.Folders, (*writer).folder)
	w.fieldSet(5, a.UIDs)
	w.fieldSet(6, a.Vanished)
	w.fieldSet(7, a.Arrived)
	w.fieldSet(8, a.Modified)
	fieldList(&w, 9, a.Summaries, (*writer).summary)
	fieldList(&w, 10, a.Lies, (*writer).lie)
	if a.Placed.UIDValidity != 0 {
		w.begin(11)
		w.uint(uint64(a.Placed.UIDValidity))
		w.uids(a.Placed.From)
		w.uids(a.Placed.To)
	}
	fieldList(&w, 12, a.Values, (*writer).value)
	w.fieldUint(13, uint64(a.Next))
	w.fieldBool(14, a.More)
	w.fieldUint(15, uint64(a.TTL/time.Millisecond))
	fieldList(&w, 16, a.Known, func(w *writer, k *Known) { w.uint(uint64(*k)) })
	return w.b
}

// ParseAnswer reads what Marshal writes. KindInvalid: it is not that.
func ParseAnswer(b []byte) (a Answer, err error) {
	r := newReader("read an answer about mail", b)
	for f := r.field(); f != 0; f = r.field() {
		switch f {
		case 1:
			a.Status = r.status()
		case 2:
			a.Mark = r.mark()
			if a.Mark == (Mark{}) {
				r.Fail("a field is empty")
			}
		case 3:
			a.Folder = r.someID()
		case 4:
			a.Folders = readList(r, FoldersMax, (*reader).folder)
		case 5:
			a.UIDs = r.someSet()
		case 6:
			a.Vanished = r.someSet()
		case 7:
			a.Arrived = r.someSet()
		case 8:
			a.Modified = r.someSet()
		default:
			a.more(r, f)
		}
	}
	return a, r.End()
}

func (a *Answer) more(r *reader, field int) {
	switch field {
	case 9:
		a.Summaries = readList(r, PageMax, (*reader).summary)
	case 10:
		a.Lies = readList(r, PageMax, (*reader).lie)
	case 11:
		a.Placed.UIDValidity = uint32(r.some(math.MaxUint32))
		a.Placed.From, a.Placed.To = r.uids(), r.uids()
	case 12:
		a.Values = readList(r, ValuesMax, (*reader).value)
	case 13:
		a.Next = mail.UID(r.some(math.MaxUint32))
	case 14:
		a.More = true
	case 15:
		a.TTL = time.Duration(r.some(math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond
	case 16:
		a.Known = readList(r, PageMax, func(r *reader, k *Known) { *k = Known(r.uint(uint64(KnownDead))) })
	default:
		r.Fail("field %d is unknown", field)
	}
}

func isZeroStatus(s *backend.Status) bool {
	return s.UIDValidity == 0 && s.ID == mail.FolderID{} && s.UIDNext == 0
}

func (w *writer) status(s *backend.Status) {
	w.raw(s.ID[:])
	w.uint(uint64(s.Messages))
	w.uint(uint64(s.Unseen))
	w.uint(uint64(s.Deleted))
	w.uint(uint64(s.UIDNext))
	w.uint(uint64(s.UIDValidity))
	w.uint(uint64(s.HighestModSeq))
	w.uint(uint64(s.Size))
	w.uint(uint64(s.FirstUnseen))
	w.flags(s.Keywords)
}

func (r *reader) status() backend.Status {
	s := backend.Status{ID: r.id(), Messages: int(r.uint(math.MaxUint32)), Unseen: int(r.uint(math.MaxUint32)),
		Deleted: int(r.uint(math.MaxUint32)), UIDNext: r.uid(), UIDValidity: uint32(r.uint(math.MaxUint32)),
		HighestModSeq: mail.ModSeq(r.uint(math.MaxInt64)), Size: int64(r.uint(math.MaxInt64)), FirstUnseen: r.uid(),
		Keywords: r.flags(KeywordsMax)}
	if isZeroStatus(&s) {
		r.Fail("a status of nothing")
	}
	return s
}

// Bits of a folder.
const (
	folderExists = 1 << iota
	folderSubscribed
)

func (w *writer) folder(f *backend.Folder) {
	var bits uint64
	if f.Exists {
		bits |= folderExists
	}
	if f.Subscribed {
		bits |= folderSubscribed
	}
	w.text(f.Name)
	w.raw(f.ID[:])
	w.uint(bits)
	w.text(f.Use)
}

func (r *reader) folder(f *backend.Folder) {
	f.Name, f.ID = r.text(NameMax), r.id()
	bits := r.uint(folderExists | folderSubscribed)
	f.Exists, f.Subscribed = bits&folderExists != 0, bits&folderSubscribed != 0
	f.Use = r.text(NameMax)
}

// told are the flags of a message that are told, FlagsMax at most: what has more could not be read. A folder has fewer keywords,
// unless two sides of a partition gave it some each; system flags are told in any case.
func told(flags []mail.Flag) []mail.Flag {
	over := len(flags) - FlagsMax
	if over <= 0 {
		return flags
	}
	return slices.DeleteFunc(slices.Clone(flags), func(f mail.Flag) bool {
		if over == 0 || f.IsSystem() {
			return false
		}
		over--
		return true
	})
}

func (w *writer) summary(s *mail.Summary) {
	w.uint(uint64(s.UID))
	w.raw(s.ID[:])
	w.raw(s.Email[:])
	w.flags(told(s.Flags))
	w.uint(uint64(s.ModSeq))
	w.time(s.Received)
	w.time(s.Saved)
	w.uint(uint64(max(s.Size, -1) + 1)) // 0: it is away
}

func (r *reader) summary(s *mail.Summary) {
	*s = mail.Summary{UID: r.uid(), ID: r.id(), Email: r.id(), Flags: r.flags(FlagsMax),
		ModSeq: mail.ModSeq(r.uint(math.MaxInt64)), Received: r.time(), Saved: r.time(), Size: int64(r.uint(cluster.ObjectSizeMax+1)) - 1}
}

func (w *writer) lie(l *Lie) {
	w.uint(uint64(l.UID))
	w.raw(l.ID[:])
	w.raw(l.Email[:])
	w.time(l.Received)
	w.uint(uint64(l.Size))
	w.flags(told(l.Flags))
	w.nodes(l.Nodes)
}

func (r *reader) lie(l *Lie) {
	*l = Lie{UID: r.uid(), ID: r.id(), Email: r.id(), Received: r.time(), Size: int64(r.uint(cluster.ObjectSizeMax))}
	l.Flags, l.Nodes = r.flags(FlagsMax), r.nodes()
}

// MarshalNotices writes notices, NoticesMax at most.
func MarshalNotices(ns []Notice) []byte {
	w := writer{b: []byte{version}}
	fieldList(&w, 1, ns, func(w *writer, n *Notice) {
		w.text(string(n.User))
		w.uint(uint64(len(n.Folders)))
		for _, id := range n.Folders {
			w.raw(id[:])
		}
	})
	return w.b
}

// ParseNotices reads what MarshalNotices writes. KindInvalid: it is not that.
func ParseNotices(b []byte) (ns []Notice, err error) {
	r := newReader("read notices about mail", b)
	for f := r.field(); f != 0; f = r.field() {
		if f != 1 {
			r.Fail("field %d is unknown", f)
			break
		}
		ns = readList(r, NoticesMax, func(r *reader, n *Notice) {
			n.User = mail.User(r.someText(cluster.OwnerLengthMax))
			for range r.count(FoldersMax) {
				n.Folders = append(n.Folders, r.id())
			}
		})
	}
	return ns, r.End()
}
