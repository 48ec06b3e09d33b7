package imapserver

import (
	"time"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/message"
	"porcupine/internal/mail/search"
)

// search carries out SEARCH and UID SEARCH (RFC 9051 §6.4.4, RFC 4731, RFC 5182).
func (s *session) search(c imap.Command) imap.Reply {
	args := c.Args.(imap.Search)
	f := s.folder
	save := args.Return.Save
	if s.enabled.utf8 && args.Charset != "" { // RFC 9755 §3
		return s.wrong("with UTF8=ACCEPT a search has no CHARSET")
	}
	p, refused := s.compile(args.Charset, args.Key)
	if p == nil {
		if save && refused.Kind == imap.NO {
			f.saved = nil // RFC 5182 §2.1: a search that fails leaves nothing to go on with
		}
		return refused
	}
	if p.UsesModSeq() {
		s.useCondStore()
	}
	var r searched
	err := s.find(p, false, func(sum *mail.Summary, _ *message.Index) { r.add(sum) })
	switch {
	case s.ended != "":
		return imap.Reply{}
	case err != nil:
		if save {
			f.saved = nil
		}
		return s.failure(err, onOther)
	}
	if save {
		f.saved = r.saved(args.Return)
	}
	s.saySearched(c, args.Return, &r, p.UsesModSeq())
	return done(c.Verb)
}

// searched is what a search found.
type searched struct {
	uids           mail.UIDSet // ascending, as they were found
	min, max       mail.UID
	minMod, maxMod mail.ModSeq // of these two messages
	highest        mail.ModSeq // of all
}

func (r *searched) add(sum *mail.Summary) {
	if len(r.uids) == 0 {
		r.min, r.minMod = sum.UID, sum.ModSeq
	}
	r.max, r.maxMod = sum.UID, sum.ModSeq
	r.highest = max(r.highest, sum.ModSeq)
	r.uids.Append(sum.UID)
}

// saved is what "$" means afterwards: what the other return options tell of, all if there are none of them
// (RFC 5182 §2.1, §2.4).
func (r *searched) saved(ret imap.SearchReturn) mail.UIDSet {
	if ret.All || ret.Count || !ret.Min && !ret.Max || len(r.uids) == 0 {
		return r.uids
	}
	var some []mail.UID
	if ret.Min {
		some = append(some, r.min)
	}
	if ret.Max {
		some = append(some, r.max)
	}
	return mail.NewUIDSet(some...)
}

// modSeq is the modification sequence that is told of the messages that are told (RFC 4731 §3.2): of the smallest and
// largest, if only those are.
func (r *searched) modSeq(ret imap.SearchReturn) mail.ModSeq {
	switch {
	case ret.All || ret.Count:
		return r.highest
	case ret.Min && ret.Max:
		return max(r.minMod, r.maxMod)
	case ret.Min:
		return r.minMod
	}
	return r.maxMod
}

// saySearched tells what was found: as ESEARCH to who asks for that or speaks IMAP4rev2 (RFC 9051 §7.3.4), else as
// SEARCH.
func (s *session) saySearched(c imap.Command, ret imap.SearchReturn, r *searched, modSeq bool) {
	if !ret.Given && !s.enabled.rev2 {
		data := imap.SearchData{Numbers: s.flatten(r.uids, c.UID)}
		if modSeq {
			data.ModSeq = r.highest
		}
		s.say(data)
		return
	}
	if !ret.Given {
		ret.All = true
	}
	if !ret.All && !ret.Min && !ret.Max && !ret.Count { // SAVE alone is told nothing (RFC 5182 §2.1)
		return
	}
	data := imap.ESearchData{Tag: c.Tag, UID: c.UID}
	if modSeq {
		data.ModSeq = r.modSeq(ret)
	}
	if ret.Count {
		data.HasCount, data.Count = true, uint32(r.uids.Len()) // #nosec G115 -- of 32-bit UIDs
	}
	if len(r.uids) > 0 {
		if ret.Min {
			data.Min = s.number(r.min, c.UID)
		}
		if ret.Max {
			data.Max = s.number(r.max, c.UID)
		}
		if ret.All {
			data.All = s.numberSet(r.uids, c.UID)
		}
	}
	s.say(data)
}

// number is how a client is told of a message of its view: by its UID or its sequence number.
func (s *session) number(uid mail.UID, byUID bool) uint32 {
	if byUID {
		return uint32(uid)
	}
	seq, _ := s.folder.view.Seq(uid) // what is found is in the view
	return seq
}

// numberSet is how a client is told of messages as a set.
func (s *session) numberSet(uids mail.UIDSet, byUID bool) imap.NumSet {
	if byUID {
		return imap.SetOf(uids)
	}
	var set imap.NumSet
	for _, r := range s.folder.view.Seqs(uids) {
		set.Ranges = append(set.Ranges, imap.NumRange{First: r.First, Last: r.Last})
	}
	return set
}

// flatten is how a client is told of messages one by one.
func (s *session) flatten(uids mail.UIDSet, byUID bool) []uint32 {
	numbers := make([]uint32, 0, uids.Len())
	for _, r := range s.numberSet(uids, byUID).Ranges {
		for n := r.First; ; n++ {
			numbers = append(numbers, n)
			if n == r.Last { // it may be the largest of all
				break
			}
		}
	}
	return numbers
}

// compile makes a program of search keys. nil: the reply says why not.
func (s *session) compile(charset string, k imap.SearchKey) (*search.Program, imap.Reply) {
	if charset != "" && !search.KnownCharset(charset) {
		r := no(imap.CodeBadCharset, "this charset is not known")
		r.Code.Words = search.Charsets()
		return nil, r
	}
	key, err := s.translate(charset, &k)
	if err != nil {
		return nil, s.wrong(err.Error())
	}
	p, err := search.Compile(key, time.Now())
	if err != nil {
		return nil, s.failure(err, onOther)
	}
	return p, imap.Reply{}
}
