package index

import (
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/uidledger"
)

// findAway finds the folders whose ledgers were not found and may lie on nodes that are away, or are damaged wherever they lie. They are closed, and the user's
// other folders are not: nothing is read of theirs, and nothing written, until an index finds their ledgers, or that they are
// lost. A fresh user has no tree that could say so: such a one waits whole. So does one whose INBOX it is: most mail that no
// ledger knows belongs there, and whoever asks for it by the message must not be told that nothing is there.
//
// What is in the other folders is what their ledgers say. A message that has left one of them, and is in no
// other one that is known, may be in a folder that is closed: it is not shown (hide, isNewIn), and comes back nowhere.
func (s *state) findAway(e *cluster.Entry) {
	if s.isFresh() || s.hasAllLedgers(e) {
		return
	}
	for _, f := range s.tree.List() {
		if f.Exists && !s.headed[f.ID] && !s.lost[f.ID] {
			s.away[f.ID] = true
			if s.damaged[f.ID] != nil {
				continue // it was said
			}
			s.x.cfg.Logger.Warn("a folder is closed, its ledger lies on nodes that are away: start them, or remove those that are gone for good",
				"user", s.user, "folder", f.ID)
		}
	}
}

// closed gives the error of a folder that findAway has found; nil: it is not.
func (s *state) closed(id mail.FolderID) error {
	switch {
	case !s.away[id]:
		return nil
	case s.damaged[id] != nil:
		return cluster.Errorf(cluster.KindUnavailable, "open folder "+id.String()+" of "+string(s.user), "its ledger is damaged: %w", s.damaged[id])
	}
	return cluster.Errorf(cluster.KindUnavailable, "open folder "+id.String()+" of "+string(s.user), "its ledger lies on nodes that are away")
}

// inClosed is the home of a message that may be in a folder that is closed, whichever it is: so nobody sees it, nor touches it.
func (s *state) inClosed(stay cluster.Timestamp) home {
	var in mail.FolderID
	for id := range s.away { // INBOX, the first of all, is not among them
		if in == mail.Inbox || slices.Compare(id[:], in[:]) < 0 {
			in = id
		}
	}
	return home{folder: in, stay: stay, hasUID: true}
}

// hide puts away what is in no folder, by the ledgers that were read, while others were not: a message that has left a
// folder is in another one, and its newest stay is not known. One that has a UID in the folder of its newest stay, or in another one
// since the same time, has not left.
func (s *state) hide(homes map[mail.MessageID]home) {
	if len(s.away) == 0 {
		return
	}
	for _, id := range s.folderIDs() {
		s.folders[id].ledger.Stays(func(st uidledger.Stay) {
			if h, ok := homes[st.ID]; ok && st.Live && !h.hasUID && (h.folder == id || h.stay == st.Since) {
				homes[st.ID] = home{id, h.stay, true}
			}
		})
	}
	for id, h := range homes {
		if !h.hasUID {
			homes[id] = s.inClosed(h.stay)
		}
	}
}

// isNewIn reports whether a message of which no ledger has a stay is in the folder that its attributes name, for sure. While
// folders are closed it may have been there and been moved into one of them, if its folder's ledger does not reach back so far: of a
// folder that is no more it may be deleted, and one that got another UIDVALIDITY began anew. That is not less than the
// time of it in seconds, but for the default folders' first ones.
func (s *state) isNewIn(id mail.FolderID, m *message) bool {
	if len(s.away) == 0 {
		return true
	}
	f, ok := s.tree.Folder(id)
	return ok && !s.away[id] && (f.UIDValidity < defaultsMax || m.version.Time/int64(time.Second) >= int64(f.UIDValidity))
}

// healWait is how long an index stands in which something was damaged: whoever finds it has it healed from other copies, and nobody
// says when that is done.
const healWait = time.Minute

// standShare is how many times as long as its building took an index stands at least: while one is built the user's questions wait, and a
// large mailbox at a member that hangs would be built for most of the time.
const standShare = 3

// stands is how long an index stands at least that is to be read again after so long.
func (s *state) stands(wait time.Duration) time.Duration { return max(wait, standShare*s.took) }

// unreadWaitMax is how long an index stands at most for which a member's ledgers could not be read, but for standShare.
const unreadWaitMax = time.Minute

// unreadWait is how long an index stands for which a member's ledgers could not be read, though others' could: what was changed on the
// other side of a partition may lie on that one alone (U5), and nothing says when it answers again. A member that goes on failing
// costs each attempt LedgerWait: so it is twice as long after each, up to unreadWaitMax.
func (s *state) unreadWait() time.Duration {
	wait := s.x.cfg.CompleteWait
	for failed := 1; failed < s.b.unread && wait < unreadWaitMax; failed++ {
		wait *= 2
	}
	return s.stands(min(wait, unreadWaitMax))
}

// isToBeReadAgain reports that more may be found by now than when the index was built: in the ledgers of a member that did not answer, or a
// folder that is closed. A node that comes back makes another view, and with that another index; but a member that has not answered
// says nothing when it can again, nor does one that is no newcomer any more, nor what is healed.
func (s *state) isToBeReadAgain() bool {
	age := time.Since(s.since)
	return len(s.damaged) > 0 && age >= s.stands(healWait) ||
		s.unread && age >= s.unreadWait() ||
		len(s.away) > 0 && len(s.damaged) == 0 && age >= s.stands(s.x.cfg.CompleteWait) && s.x.cluster.KnownNodes() <= len(s.x.cluster.View().Members)
}

// due is when the index has more to show though nothing is told by then, as far as that can be said beforehand; zero: never. Sessions that
// wait for news look then (look).
func (s *state) due() (at time.Time) {
	soonest := func(of bool, t time.Time) {
		if of && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	soonest(len(s.damaged) > 0, s.since.Add(s.stands(healWait)))
	soonest(!s.unsettled.IsZero(), s.unsettled)
	soonest(s.unread, s.since.Add(s.unreadWait()))
	return at
}
