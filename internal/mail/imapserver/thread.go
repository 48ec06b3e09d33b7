package imapserver

import (
	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/message"
	"porcupine/internal/mail/search"
)

// thread carries out THREAD and UID THREAD (RFC 5256 §3).
func (s *session) thread(c imap.Command) imap.Reply {
	args := c.Args.(imap.Thread)
	var threader *search.Threader
	switch args.Algorithm {
	case imap.ThreadOrderedSubject:
		threader = search.NewThreader(search.OrderedSubject)
	case imap.ThreadReferences:
		threader = search.NewThreader(search.References)
	default:
		return s.wrong("this threading algorithm is not known")
	}
	p, refused := s.compile(args.Charset, args.Key)
	if p == nil {
		return refused
	}
	if p.UsesModSeq() {
		s.useCondStore()
	}
	err := s.find(p, true, func(sum *mail.Summary, index *message.Index) { threader.Add(sum, index) })
	switch {
	case s.ended != "":
		return imap.Reply{}
	case err != nil:
		return s.failure(err, onOther)
	}
	s.say(imap.ThreadData{Threads: threadNodes(threader.Threads(), func(uid mail.UID) uint32 { return s.number(uid, c.UID) })})
	return done(c.Verb)
}

// threadNodes makes of a forest what the grammar writes, from the leaves up: threads may be deep.
func threadNodes(f *search.Forest, number func(mail.UID) uint32) []imap.ThreadNode {
	order := f.Order()
	done := make(map[int32]imap.ThreadNode, len(order))
	node := func(at int32) imap.ThreadNode {
		n := done[at]
		delete(done, at)
		return n
	}
	for i := len(order) - 1; i >= 0; i-- {
		at := order[i]
		var n imap.ThreadNode
		if uid := f.UID(at); uid != 0 {
			n.Number = number(uid)
		}
		for kid, ok := f.Child(at); ok; kid, ok = f.Next(kid) {
			n.Children = append(n.Children, node(kid))
		}
		done[at] = n
	}
	threads := make([]imap.ThreadNode, 0, len(f.Roots))
	for _, root := range f.Roots {
		threads = append(threads, node(root))
	}
	return threads
}
