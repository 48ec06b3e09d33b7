package retrieval

import (
	"context"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/survey"
)

// hasFolders reports whether a user may have mail outside INBOX, by what is known without asking anybody: the tree of folders,
// which the manager writes BEFORE it tells an IMAP session of any folder; a ledger, which is written BEFORE the tree; or a
// message that was put into another folder.
//
// A user without any of these is one who only uses POP3. Somebody who uses IMAP for the first time on the other side of a
// partition looks like that on this side, as everything does that was done there: it is known here when the sides meet.
// That is not a reason to refuse POP3 to everybody while nodes are away.
func hasFolders(e *cluster.Entry, floor cluster.Timestamp, found []survey.Message) bool {
	if tree, ok := e.Find(mail.TypeFolders, ""); ok && tree.Object.Timestamp.Compare(floor) > 0 {
		return true
	}
	if slices.ContainsFunc(e.Fragments, func(f cluster.Placed) bool { return f.Type == mail.TypeLedger }) {
		return true
	}
	return slices.ContainsFunc(found, func(m survey.Message) bool {
		_, folder := arrival(&m.Object)
		return folder != mail.Inbox
	})
}

// inInbox gives those of the messages that are in INBOX.
func (d *Maildrop) inInbox(ctx context.Context, messages []message) ([]message, error) {
	if !d.folders {
		return messages, nil
	}
	inbox := make([]message, 0, len(messages))
	for page := range slices.Chunk(messages, talk.PageMax) {
		known, err := d.ask(ctx, page)
		if err != nil {
			return nil, err
		}
		for i := range page {
			// What the index has not heard of was delivered a moment ago, or put into a folder.
			if known[i] == talk.KnownHere || known[i] == talk.KnownNot && page[i].folder == mail.Inbox {
				inbox = append(inbox, page[i])
			}
		}
	}
	return inbox, nil
}

// stillInInbox gives the messages of these indexes, without those that are in INBOX no more. Between this question and the
// deletion one can still be moved: then the deletion counts, as if it had been first.
func (d *Maildrop) stillInInbox(ctx context.Context, indexes []int) ([]message, error) {
	messages := make([]message, len(indexes))
	for i, at := range indexes {
		messages[i] = d.messages[at]
	}
	return d.inInbox(ctx, messages)
}

// ask asks the user's manager where messages are, talk.PageMax at most, and gives the answers in their order. Whatever hinders the
// answer is temporary (V1), but for folders that are damaged. So it is with a manager of an older version, which does not know
// the question.
func (d *Maildrop) ask(ctx context.Context, messages []message) ([]talk.Known, error) {
	op := "find out what of the mail of " + string(d.user) + " is in INBOX"
	q := talk.Question{Op: talk.OpWithin, User: d.user, Folder: mail.Inbox, Messages: make([]mail.MessageID, len(messages))}
	for i := range messages {
		// An object whose id is no message's is known to no index: it is asked for as the id that nothing has.
		if id, err := mail.ParseMessageID(messages[i].id); err == nil {
			q.Messages[i] = id
		}
	}
	ctx, cancel := context.WithTimeout(ctx, d.proxy.cfg.AskTimeout)
	defer cancel()
	b, err := d.proxy.cluster.Ask(ctx, string(d.user), talk.Method, q.Marshal())
	switch {
	case cluster.IsKind(err, cluster.KindCorrupt):
		return nil, cluster.Errorf(cluster.KindCorrupt, op, "%w", err)
	case cluster.IsKind(err, cluster.KindInvalid):
		return nil, cluster.Errorf(cluster.KindUnavailable, op, "the manager does not understand the question: is that node of an older version? %w", err)
	case err != nil:
		return nil, cluster.Errorf(cluster.KindUnavailable, op, "%w", err)
	}
	a, err := talk.ParseAnswer(b)
	if err == nil && len(a.Known) != len(messages) {
		err = cluster.Errorf(cluster.KindInvalid, op, "the manager tells of %d messages, %d were asked for", len(a.Known), len(messages))
	}
	if err != nil {
		return nil, cluster.Errorf(cluster.KindUnavailable, op, "%w", err)
	}
	return a.Known, nil
}
