package imapserver

import (
	"slices"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/message"
)

// readahead is the messages of a FETCH that wait to be told of until the contents that they need are read, many with
// one call. Their order stays. It never holds more pieces, or more octets of them, than a Selected reads ahead.
type readahead struct {
	waiting []awaited
	pieces  []backend.Piece
	octets  int64
}

// awaited is a message that waits.
type awaited struct {
	summary mail.Summary
	index   *message.Index
}

// readAhead begins it, if contents are asked for.
func (x *fetching) readAhead() {
	if slices.ContainsFunc(x.items, isContents) {
		x.ahead = new(readahead)
	}
}

// isContents reports whether an item is made from a message's contents.
func isContents(it imap.FetchItem) bool {
	switch it.Kind {
	case imap.FetchRFC822, imap.FetchRFC822Header, imap.FetchRFC822Text, imap.FetchBodySection, imap.FetchBinary, imap.FetchBinarySize:
		return true
	}
	return false
}

// next tells of one message: at once, or when those are told of that are read together with it.
func (x *fetching) next(sum *mail.Summary, index *message.Index) error {
	a := x.ahead
	if a == nil {
		return x.one(sum, index)
	}
	pieces := x.pieces(sum, index)
	octets := int64(0)
	for _, p := range pieces {
		octets += p.Length
	}
	if len(a.waiting) > 0 && (a.octets+octets > backend.AheadBytesMax || max(len(a.pieces)+len(pieces), len(a.waiting)) >= backend.AheadPiecesMax) {
		if err := x.flush(); err != nil {
			return err
		}
	}
	a.waiting = append(a.waiting, awaited{*sum, index})
	a.pieces = append(a.pieces, pieces...)
	a.octets += octets
	return nil
}

// pieces gives what will be opened to tell of a message, but for what is long: that is read by itself.
func (x *fetching) pieces(sum *mail.Summary, index *message.Index) (list []backend.Piece) {
	if sum.IsAway() {
		return nil
	}
	for _, it := range x.items {
		if !isContents(it) || x.hasFields(it, index) {
			continue
		}
		src, ok := x.source(it, sum, index)
		if !ok {
			continue
		}
		p := backend.Piece{UID: sum.UID, Offset: src.octets.Start, Length: src.octets.Len()}
		if src.change == nil && it.Partial != nil {
			first := min(it.Partial.Offset, p.Length)
			p.Offset, p.Length = p.Offset+first, min(it.Partial.Count, p.Length-first)
		}
		if p.Length > 0 && p.Length <= backend.PieceSizeMax && !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}

// flush tells of the messages that wait.
func (x *fetching) flush() error {
	a := x.ahead
	if a == nil || len(a.waiting) == 0 {
		return nil
	}
	if len(a.pieces) > 1 {
		w := x.s.watch()
		x.f.selected.Ahead(w.ctx, a.pieces)
		w.end()
	}
	defer func() {
		clear(a.waiting)
		a.waiting, a.pieces, a.octets = a.waiting[:0], a.pieces[:0], 0
	}()
	for i := range a.waiting {
		if err := x.one(&a.waiting[i].summary, a.waiting[i].index); err != nil {
			return err
		}
	}
	return nil
}

// forget lets go of what is held.
func (x *fetching) forget() {
	if x.ahead != nil {
		x.f.selected.Ahead(x.s.ctx, nil)
	}
}
