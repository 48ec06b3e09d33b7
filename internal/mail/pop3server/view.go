package pop3server

// view is what a session sees of its mailbox: the messages as they were listed, and which of
// them are marked for deletion.
type view struct {
	drop     Maildrop
	messages []Message
	marks    []uint64 // a bit a message, made with the first mark
	count    int      // messages without mark
	size     int64    // octets of messages without mark
}

func newView(d Maildrop) *view {
	v := &view{drop: d, messages: d.Messages()}
	v.reset()
	return v
}

// reset takes all marks back.
func (v *view) reset() {
	v.marks = nil
	v.count = len(v.messages)
	v.size = 0
	for _, m := range v.messages {
		v.size += m.Size
	}
}

// isMarked reports whether message i (from 0) is marked.
func (v *view) isMarked(i int) bool {
	return v.marks != nil && v.marks[i/64]&(1<<(i%64)) != 0
}

// find gives the index of the message with that number (from 1); ok is false if there is none,
// or it is marked (RFC 1939 §5: a marked message is no longer there).
func (v *view) find(number int) (i int, ok bool) {
	if number < 1 || number > len(v.messages) || v.isMarked(number-1) {
		return 0, false
	}
	return number - 1, true
}

// mark marks message i, which is not marked.
func (v *view) mark(i int) {
	if v.marks == nil {
		v.marks = make([]uint64, (len(v.messages)+63)/64)
	}
	v.marks[i/64] |= 1 << (i % 64)
	v.count--
	v.size -= v.messages[i].Size
}

// marked lists the marked messages, ascending.
func (v *view) marked() []int {
	n := len(v.messages) - v.count
	if n == 0 {
		return nil
	}
	list := make([]int, 0, n)
	for i := range v.messages {
		if v.isMarked(i) {
			list = append(list, i)
		}
	}
	return list
}

// isLost reports whether the mailbox's lock is lost.
func (v *view) isLost() bool {
	select {
	case <-v.drop.Lost():
		return true
	default:
		return false
	}
}
