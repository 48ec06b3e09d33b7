package imapserver

import (
	"context"
	"errors"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/message"
)

// fetchPage is how many summaries a FETCH holds at once when it needs the structures too.
const fetchPage = 1000

// errClientGone ends a FETCH whose client hears nothing any more.
var errClientGone = errors.New("client gone")

// fetching is one FETCH under way.
type fetching struct {
	s     *session
	f     *folder
	items []imap.FetchItem
	// flags tells the flags too: \Seen was set.
	flags   bool
	seen    map[mail.UID]mail.Summary // what a message became when \Seen was set
	highest mail.ModSeq               // of the messages told
	told    int                       // messages
	octets  int64                     // of contents
	ahead   *readahead                // nil: no contents are asked for
	fields  []byte                    // room for header fields
	failure error                     // of the first message that could not be read
}

// fetch carries out FETCH and UID FETCH (RFC 9051 §6.4.5, §6.4.9).
func (s *session) fetch(c imap.Command) imap.Reply {
	args := c.Args.(imap.Fetch)
	f := s.folder
	if args.Vanished && (!c.UID || !s.enabled.qresync || args.ChangedSince == 0) { // RFC 7162 §3.2.6
		return s.wrong("VANISHED needs UID FETCH, CHANGEDSINCE, and QRESYNC enabled")
	}
	uids, err := f.uids(args.Set, c.UID)
	if err != nil {
		return s.wrong(err.Error())
	}
	x := &fetching{s: s, f: f, items: fetchItems(args, c.UID || s.enabled.qresync)}
	if args.ChangedSince != 0 || x.wants(imap.FetchModSeq) {
		s.useCondStore()
	}
	if args.ChangedSince != 0 {
		if uids, err = x.changed(args, uids); err != nil {
			return s.failure(err, onOther)
		}
	}
	if len(uids) == 0 {
		return done(c.Verb)
	}
	if !f.readOnly && slices.ContainsFunc(x.items, imap.FetchItem.SetsSeen) {
		if x.setSeen(uids); s.ended != "" {
			return imap.Reply{}
		}
	}
	err = x.run(uids)
	if x.wants(imap.FetchModSeq) {
		s.toldModSeq(x.highest)
	}
	s.fetched += x.octets
	s.srv.cfg.Observer.Fetched(x.octets)
	return x.answer(c, uids, err)
}

// answer is the tagged answer after all that could be told was told.
func (x *fetching) answer(c imap.Command, uids mail.UIDSet, err error) imap.Reply {
	switch {
	case x.s.ended != "":
		return imap.Reply{}
	case errors.Is(err, errClientGone):
		x.s.end(EndedGone)
		return imap.Reply{}
	case err != nil:
		return x.s.failure(err, onOther)
	case errors.Is(x.failure, message.ErrEncoding):
		return no(imap.CodeUnknownCTE, "the encoding of a part is not known")
	case x.failure != nil && !(c.UID && cluster.IsKind(x.failure, cluster.KindNotFound)):
		return x.s.failure(x.failure, onOther)
	case !c.UID && x.told < uids.Len():
		// RFC 2180 §4.1.2: what is gone has no data, and the client learns of it when it may be told.
		return no(imap.CodeExpungeIssued, "some of the messages are gone")
	}
	return done(c.Verb)
}

// fetchItems gives what is told of each message: each thing once, the UID first where it must be there.
func fetchItems(args imap.Fetch, uid bool) []imap.FetchItem {
	items := make([]imap.FetchItem, 0, len(args.Items)+2)
	has := func(kind imap.FetchKind) bool {
		return slices.ContainsFunc(items, func(it imap.FetchItem) bool { return it.Kind == kind })
	}
	if uid {
		items = append(items, imap.FetchItem{Kind: imap.FetchUID})
	}
	for _, it := range args.Items {
		switch it.Kind {
		case imap.FetchBodySection, imap.FetchBinary, imap.FetchBinarySize:
			items = append(items, it)
		default:
			if !has(it.Kind) {
				items = append(items, it)
			}
		}
	}
	if args.ChangedSince != 0 && !has(imap.FetchModSeq) { // RFC 7162 §3.1.4.1
		items = append(items, imap.FetchItem{Kind: imap.FetchModSeq})
	}
	return items
}

// wants reports whether a thing is to be told.
func (x *fetching) wants(kind imap.FetchKind) bool {
	return slices.ContainsFunc(x.items, func(it imap.FetchItem) bool { return it.Kind == kind })
}

// changed gives the messages that changed after CHANGEDSINCE, and tells what vanished.
func (x *fetching) changed(args imap.Fetch, uids mail.UIDSet) (mail.UIDSet, error) {
	ctx, cancel := x.s.service()
	defer cancel()
	known := uids
	if args.Vanished { // also what is not in the view any more: "*" is all that was ever told, for the last ones may have gone
		known = uids.Union(args.Set.Resolve(uint32(max(x.f.view.Mark().UIDNext, 1) - 1)))
	}
	if len(known) == 0 {
		return nil, nil
	}
	changes, err := x.f.selected.Since(ctx, args.ChangedSince, known)
	if err != nil {
		return nil, err
	}
	if args.Vanished {
		x.s.sayEarlier(x.f, changes.Vanished)
	}
	var changed mail.UIDSet
	for i := range changes.Changed {
		changed.Append(changes.Changed[i].UID)
	}
	return changed.Intersect(uids), nil
}

// setSeen sets \Seen where it is not set. A mail that can be read but not be marked is read all the same.
func (x *fetching) setSeen(uids mail.UIDSet) {
	var unseen mail.UIDSet
	var stored []mail.Summary
	err := x.s.long(imap.VerbFetch, func(ctx context.Context) error {
		err := x.f.selected.Summaries(ctx, uids, func(sum *mail.Summary) error {
			if !sum.IsAway() && !slices.Contains(sum.Flags, mail.FlagSeen) {
				unseen.Append(sum.UID)
			}
			return nil
		})
		if err == nil && len(unseen) > 0 {
			stored, _, err = x.f.selected.Store(ctx, unseen, FlagChange{Op: FlagsAdd, Flags: []mail.Flag{mail.FlagSeen}}, 0)
		}
		return err
	})
	if err != nil {
		x.s.srv.cfg.Logger.Warn("imap messages not marked as seen", "user", string(x.s.user), "err", err)
	}
	x.seen = make(map[mail.UID]mail.Summary, len(stored))
	for i := range stored {
		x.f.view.Own(stored[i].UID, stored[i].ModSeq)
		x.seen[stored[i].UID] = stored[i]
	}
	x.flags = !x.wants(imap.FetchFlags)
	if len(stored) == 0 || !x.s.enabled.condstore {
		return
	}
	// RFC 7162 §3.2.4: who follows modification sequences learns of the change, with the UID.
	if !x.wants(imap.FetchUID) {
		x.items = slices.Insert(x.items, 0, imap.FetchItem{Kind: imap.FetchUID})
	}
	if !x.wants(imap.FetchModSeq) {
		x.items = append(x.items, imap.FetchItem{Kind: imap.FetchModSeq})
	}
}

// run tells of all messages. Every call for mail is given up when nothing comes from it for too long; the
// time that the client takes does not count.
func (x *fetching) run(uids mail.UIDSet) error {
	w := x.s.watch()
	defer w.end()
	x.readAhead()
	defer x.forget()
	if !slices.ContainsFunc(x.items, needsStructure) {
		err := x.f.selected.Summaries(w.ctx, uids, func(sum *mail.Summary) error {
			x.highest = max(x.highest, sum.ModSeq)
			return w.aside(func() error { return x.next(sum, nil) })
		})
		if err != nil {
			return err
		}
		return w.aside(x.flush)
	}
	for page := range pages(uids, fetchPage) {
		if err := x.page(w, page); err != nil {
			return err
		}
	}
	return nil
}

// page tells of messages of which the structure is needed. Of one that is away there is none: one says so.
func (x *fetching) page(w *watch, uids mail.UIDSet) error {
	sums := make([]mail.Summary, 0, fetchPage)
	err := x.f.selected.Summaries(w.ctx, uids, func(sum *mail.Summary) error {
		w.progress()
		x.highest = max(x.highest, sum.ModSeq)
		sums = append(sums, *sum)
		return nil
	})
	if err != nil {
		return err
	}
	had := make([]bool, len(sums))
	err = x.f.selected.Structures(w.ctx, uids, func(uid mail.UID, index *message.Index) error {
		i, ok := slices.BinarySearchFunc(sums, uid, func(sum mail.Summary, u mail.UID) int { return int(int64(sum.UID) - int64(u)) })
		if !ok {
			return nil
		}
		had[i] = true
		return w.aside(func() error { return x.next(&sums[i], index) })
	})
	if err == nil {
		err = w.aside(x.flush)
	}
	if err != nil {
		return err
	}
	var missing mail.UIDSet
	for i := range sums {
		switch {
		case had[i]:
		case sums[i].IsAway():
			if err := w.aside(func() error { return x.one(&sums[i], nil) }); err != nil {
				return err
			}
		default:
			missing.Append(sums[i].UID)
		}
	}
	w.progress()
	return x.gone(w.ctx, missing)
}

// gone makes sure that messages of which nothing was to be had are gone. Of one that is still in the folder, and only
// cannot be reached, x.failure says so: who misses it would take it for deleted (V2).
func (x *fetching) gone(ctx context.Context, uids mail.UIDSet) error {
	if len(uids) == 0 {
		return nil
	}
	return x.f.selected.Summaries(ctx, uids, func(sum *mail.Summary) error {
		x.fail(cluster.Errorf(cluster.KindUnavailable, "fetch", "UID %d cannot be reached", sum.UID))
		return nil
	})
}

// fail notes why a message could not be told of: the first reason, and what is temporary before what is gone.
func (x *fetching) fail(err error) {
	if x.failure == nil || cluster.IsKind(x.failure, cluster.KindNotFound) {
		x.failure = err
	}
}

// pages cuts a set into pieces of so many UIDs.
func pages(uids mail.UIDSet, size int) func(yield func(mail.UIDSet) bool) {
	return func(yield func(mail.UIDSet) bool) {
		var page mail.UIDSet
		room := size
		for _, r := range uids {
			for {
				n := int64(r.Last-r.First) + 1
				take := min(n, int64(room))
				page = append(page, mail.UIDRange{First: r.First, Last: r.First + mail.UID(take-1)})
				if room -= int(take); room == 0 {
					if !yield(page) {
						return
					}
					page, room = nil, size
				}
				if take == n {
					break
				}
				r.First += mail.UID(take)
			}
		}
		if len(page) > 0 {
			yield(page)
		}
	}
}

// watch is a context that ends when a call for mail stands still.
type watch struct {
	ctx     context.Context
	cancel  context.CancelFunc
	timer   *time.Timer
	timeout time.Duration
}

// watch begins a series of calls for mail. The caller calls end.
func (s *session) watch() *watch {
	w := &watch{timeout: s.srv.cfg.ServiceTimeout}
	w.ctx, w.cancel = context.WithCancel(s.ctx)
	w.timer = time.AfterFunc(w.timeout, w.cancel)
	return w
}

// progress says that something came.
func (w *watch) progress() { w.timer.Reset(w.timeout) }

// aside does something that takes time of its own.
func (w *watch) aside(f func() error) error {
	w.timer.Stop()
	defer w.progress()
	return f()
}

func (w *watch) end() {
	w.timer.Stop()
	w.cancel()
}
