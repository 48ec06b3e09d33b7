package imapserver

import (
	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/message"
	"porcupine/internal/mail/search"
)

var sortKeys = map[imap.SortKey]search.By{
	imap.SortArrival: search.ByArrival, imap.SortCc: search.ByCc, imap.SortDate: search.ByDate, imap.SortFrom: search.ByFrom,
	imap.SortSize: search.BySize, imap.SortSubject: search.BySubject, imap.SortTo: search.ByTo,
	imap.SortDisplayFrom: search.ByDisplayFrom, imap.SortDisplayTo: search.ByDisplayTo,
}

// sort carries out SORT and UID SORT (RFC 5256 §3, RFC 5957).
func (s *session) sort(c imap.Command) imap.Reply {
	args := c.Args.(imap.Sort)
	if args.Return.Given {
		return s.wrong("ESORT is not offered") // RFC 5267
	}
	criteria := make([]search.Criterion, len(args.Criteria))
	for i, x := range args.Criteria {
		criteria[i] = search.Criterion{By: sortKeys[x.Key], Reverse: x.Reverse}
	}
	sorter, err := search.NewSorter(criteria)
	if err != nil {
		return s.failure(err, onOther)
	}
	p, refused := s.compile(args.Charset, args.Key)
	if p == nil {
		return refused
	}
	if p.UsesModSeq() {
		s.useCondStore()
	}
	highest := mail.ModSeq(0)
	away := false
	err = s.find(p, sorter.Stage() == search.StageStructure, func(sum *mail.Summary, index *message.Index) {
		highest = max(highest, sum.ModSeq)
		sorter.Add(sum, index)
		away = away || sum.IsAway()
	})
	if err == nil && away {
		err = cluster.Errorf(cluster.KindUnavailable, "sort", "some messages lie on nodes that are away")
	}
	switch {
	case s.ended != "":
		return imap.Reply{}
	case err != nil:
		return s.failure(err, onOther)
	}
	data := imap.SortData{Numbers: []uint32{}}
	for _, uid := range sorter.Sorted() {
		data.Numbers = append(data.Numbers, s.number(uid, c.UID))
	}
	if p.UsesModSeq() {
		data.ModSeq = highest
	}
	s.say(data)
	return done(c.Verb)
}
