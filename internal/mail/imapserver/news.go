package imapserver

import (
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
)

// tellNews asks what has changed in the selected folder and tells the client, at a moment when it may be told.
// It asks only if there may be something, unless the command is one that clients use to ask; and not
// while more commands wait that were sent with the numbers of before.
func (s *session) tellNews(verb imap.Verb) {
	switch verb {
	case imap.VerbNoop, imap.VerbCheck, imap.VerbExpunge, imap.VerbMove, imap.VerbReplace:
	case imap.VerbSelect, imap.VerbExamine:
		return // it has just been told
	default:
		if !s.folder.news.Load() || s.in.buffered() > 0 {
			return
		}
	}
	s.sync()
}

// syncAgain is when a session looks for news again for which there was no room in the line of those who ask.
const syncAgain = time.Second

// syncPagesMax bounds how much one command has to tell, in a folder that changes faster than that: the next one goes on.
const syncPagesMax = 10_000

// sync brings the client's view up to date, page by page: what a client that reads slowly has not taken yet is kept for few messages, not
// for all of a folder.
func (s *session) sync() {
	for range syncPagesMax {
		if more := s.syncPage(); !more || s.ended != "" || s.out.Failed() {
			return
		}
	}
	s.folder.news.Store(true)
}

// syncPage tells a page of news, and says whether there is more. A session for which that cannot be done correctly ends (C1). One that is
// only refused, because too many of the user's sessions ask at once, goes on with the view that it has, and looks again soon.
func (s *session) syncPage() (more bool) {
	f := s.folder
	f.news.Store(false) // BEFORE asking: what happens meanwhile sets it again
	ctx, cancel := s.service()
	defer cancel()
	changes, err := f.selected.Sync(ctx)
	if cluster.IsKind(err, cluster.KindLimit) {
		s.srv.cfg.Logger.Debug("imap session not told of news, it looks again", "user", string(s.user), "err", err)
		time.AfterFunc(syncAgain, s.notice(f))
		return false
	}
	if err != nil {
		s.srv.cfg.Logger.Warn("imap session cannot go on", "user", string(s.user), "err", err)
		s.bye(EndedLost, imap.CodeUnavailable, "the folder cannot be followed any more; connect again")
		return false
	}
	news, err := f.view.Update(changes.Vanished, changes.Arrived, changes.Changed, markOf(changes.Status))
	if err != nil {
		s.srv.cfg.Logger.Error("imap session would be rewound", "user", string(s.user), "folder", changes.Status.ID.String(), "err", err)
		s.bye(EndedLost, imap.CodeUnavailable, "the folder cannot be followed any more; connect again")
		return false
	}
	f.saved = f.saved.Without(news.Vanished)
	s.sayGone(news.Vanished, func(tell func(uint32)) {
		for _, r := range slices.Backward(news.Expunged) {
			for seq := r.Last; seq >= r.First; seq-- {
				tell(seq)
			}
		}
	})
	if news.Exists {
		s.say(imap.ExistsData{Count: uint32(f.view.Len())})
		if !s.enabled.rev2 {
			s.say(imap.RecentData{})
		}
	}
	for i := range news.Changed {
		s.sayFlags(f, &news.Changed[i], true)
	}
	if !changes.More {
		s.letGo()
	}
	return changes.More
}

// sayGone tells what is gone, in the form that the client knows.
func (s *session) sayGone(uids mail.UIDSet, numbers func(tell func(uint32))) {
	switch {
	case len(uids) == 0:
	case s.enabled.qresync:
		s.sayVanished(false, uids)
	default:
		numbers(func(seq uint32) { s.say(imap.ExpungeData{Number: seq}) })
	}
}

// vanishedRangesMax is how many ranges of UIDs one VANISHED has: a line of at most 22 KiB.
const vanishedRangesMax = 1 << 10

// sayVanished tells UIDs that are gone, in lines that are not too long (RFC 7162 §3.2.10).
func (s *session) sayVanished(earlier bool, uids mail.UIDSet) {
	for part := range slices.Chunk(uids, vanishedRangesMax) {
		s.say(imap.VanishedData{Earlier: earlier, UIDs: part})
	}
}

// sayFlags tells the flags of a message of the view, with its UID if that is wanted or must be, and
// with its modification sequence if the client knows those.
func (s *session) sayFlags(f *folder, sum *mail.Summary, uid bool) {
	seq, ok := f.view.Seq(sum.UID)
	if !ok {
		return
	}
	values := make([]imap.FetchValue, 0, 3)
	if uid || s.enabled.condstore { // RFC 7162 §3.2.4
		values = append(values, imap.FetchValue{Item: imap.FetchItem{Kind: imap.FetchUID}, Number: uint64(sum.UID)})
	}
	values = append(values, imap.FetchValue{Item: imap.FetchItem{Kind: imap.FetchFlags}, Flags: sum.Flags})
	if s.enabled.condstore {
		s.toldModSeq(sum.ModSeq)
		values = append(values, imap.FetchValue{Item: imap.FetchItem{Kind: imap.FetchModSeq}, Number: uint64(sum.ModSeq)})
	}
	s.say(imap.FetchData{Number: seq, Values: values})
}
