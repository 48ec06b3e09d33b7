package imapserver

import (
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/message"
	"porcupine/internal/mail/search"
)

// needsStructure reports whether an item is made from the message's index.
func needsStructure(it imap.FetchItem) bool {
	switch it.Kind {
	case imap.FetchRFC822Header, imap.FetchRFC822Text, imap.FetchEnvelope, imap.FetchBody, imap.FetchBodyStructure, imap.FetchPreview, imap.FetchThreadID:
		return true
	case imap.FetchBodySection, imap.FetchBinary, imap.FetchBinarySize:
		return len(it.Section.Part) > 0 || it.Section.Text != imap.SectionAll
	}
	return false
}

// needsMessage reports whether an item is not known of a message that is away.
func needsMessage(it imap.FetchItem) bool {
	switch it.Kind {
	case imap.FetchFlags, imap.FetchUID, imap.FetchModSeq, imap.FetchSaveDate:
		return false
	}
	return true
}

// one tells of one message. The error ends the whole FETCH; of a message that cannot be read nothing is
// told, and x.failure says why.
func (x *fetching) one(sum *mail.Summary, index *message.Index) error {
	seq, ok := x.f.view.Seq(sum.UID)
	if !ok {
		return nil
	}
	if newer, ok := x.seen[sum.UID]; ok {
		sum.Flags, sum.ModSeq = newer.Flags, newer.ModSeq
	}
	if sum.IsAway() && slices.ContainsFunc(x.items, needsMessage) {
		x.fail(cluster.Errorf(cluster.KindUnavailable, "fetch", "UID %d lies on nodes that are away", sum.UID))
		return nil
	}
	e := x.s.srv.encoders.Get().(*imap.Encoder)
	defer func() {
		e.Reset()
		x.s.srv.encoders.Put(e)
	}()
	e.Dialect = x.s.dialect()
	e.BeginFetch(seq)
	if _, changed := x.seen[sum.UID]; changed && x.flags {
		e.FetchFlags(sum.Flags)
		if x.s.enabled.condstore && !x.wants(imap.FetchModSeq) { // RFC 7162 §3.1
			e.FetchModSeq(sum.ModSeq)
		}
	}
	began := false // something of this message was sent
	for _, it := range x.items {
		if x.simple(e, it, sum, index) {
			continue
		}
		err := x.contents(e, it, sum, index, &began)
		switch {
		case err == nil:
		case !began:
			x.fail(err)
			if cluster.IsKind(err, cluster.KindNotFound) {
				return x.notFound(sum.UID)
			}
			return nil
		default:
			// The client has a piece of the answer: it must not take it for the whole (D5).
			x.s.srv.cfg.Logger.Error("imap message failed while it was sent; connection closed",
				"user", string(x.s.user), "message", sum.ID.String(), "err", err)
			x.s.end(EndedReadError)
			return errClientGone
		}
		if x.s.out.Failed() {
			return errClientGone
		}
	}
	e.EndFetch()
	x.send(e)
	x.told++
	if x.s.out.Failed() {
		return errClientGone
	}
	return nil
}

// notFound is called of a message that no holder has.
func (x *fetching) notFound(uid mail.UID) error {
	w := x.s.watch()
	defer w.end()
	return x.gone(w.ctx, mail.NewUIDSet(uid))
}

// send sends what was written so far. An error comes out in out.failed.
func (x *fetching) send(e *imap.Encoder) {
	_, _ = x.s.out.Buffer().Write(e.Bytes())
	e.Reset()
}

// simple tells what is at hand; false: it is contents.
func (x *fetching) simple(e *imap.Encoder, it imap.FetchItem, sum *mail.Summary, index *message.Index) bool {
	switch it.Kind {
	case imap.FetchFlags:
		e.FetchFlags(sum.Flags)
	case imap.FetchInternalDate:
		e.FetchInternalDate(sum.Received)
	case imap.FetchRFC822Size:
		e.FetchSize(sum.Size)
	case imap.FetchUID:
		e.FetchUID(sum.UID)
	case imap.FetchModSeq:
		e.FetchModSeq(sum.ModSeq)
	case imap.FetchEmailID:
		e.FetchEmailID(sum.Email.String())
	case imap.FetchThreadID:
		e.FetchThreadID(search.ThreadID(sum, index))
	case imap.FetchSaveDate:
		e.FetchSaveDate(sum.Saved)
	case imap.FetchPreview:
		e.FetchPreview([]byte(index.Preview))
	case imap.FetchEnvelope:
		e.FetchEnvelope(envelope(index.Root.Envelope))
	case imap.FetchBody, imap.FetchBodyStructure:
		e.FetchBodyStructure(structure(index.Root), it.Kind == imap.FetchBodyStructure)
	default:
		return false
	}
	return true
}
