package imap_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
)

// line is the text of a status response.
func line(t *rapid.T) string {
	s := rapid.StringOf(rapid.RuneFrom([]rune(`ab {}5[]"\()*%`))).Draw(t, "line")
	return "x" + s
}

func uidList(t *rapid.T) []mail.UID {
	return several(t, 1, 5, func(t *rapid.T) mail.UID { return mail.UID(pick(t, 1, 2, 3, nz(t))) })
}

func uidSet(t *rapid.T) mail.UIDSet { return mail.NewUIDSet(uidList(t)...) }

func respCode(t *rapid.T) (c imap.Code) {
	c.Name = pick(t, "", imap.CodeAlert, imap.CodeReadWrite, imap.CodeUIDNext, imap.CodeHighestModSeq, imap.CodeAppendUID, imap.CodeCopyUID, imap.CodeModified,
		imap.CodeBadCharset, imap.CodePermanentFlags, imap.CodeMailboxID, imap.CodeCapability, imap.CodeMetadataMaxSize, imap.CodeMetadataTooMany)
	switch c.Name {
	case imap.CodeUIDNext, imap.CodeHighestModSeq, imap.CodeMetadataMaxSize:
		c.Number = uint64(number64(t))
	case imap.CodeAppendUID:
		c.Number, c.To = uint64(nz(t)), uidList(t)
	case imap.CodeCopyUID:
		c.Number, c.From = uint64(nz(t)), uidList(t)
		c.To = append([]mail.UID{}, c.From...)
		slices.Reverse(c.To)
	case imap.CodeModified:
		c.Set = plainNumSet(t)
	case imap.CodeBadCharset:
		c.Words = several(t, 0, 2, atom)
	case imap.CodePermanentFlags:
		c.Words = append(several(t, 0, 2, func(t *rapid.T) string { return string(flag(t)) }), imap.FlagAnyKeyword)
	case imap.CodeMailboxID:
		c.Words = []string{objectID(t)}
	case imap.CodeCapability:
		c.Words = []string{"IMAP4rev2", "A=B"}
	}
	return c
}

func addresses(t *rapid.T) []imap.EnvelopeAddress {
	return several(t, 0, 3, func(t *rapid.T) imap.EnvelopeAddress {
		return imap.EnvelopeAddress{Name: nOctets(t), Route: nOctets(t), Mailbox: nOctets(t), Host: nOctets(t)}
	})
}

func envelope(t *rapid.T) *imap.Envelope {
	return &imap.Envelope{Date: nOctets(t), Subject: nOctets(t), From: addresses(t), Sender: addresses(t), ReplyTo: addresses(t), To: addresses(t),
		Cc: addresses(t), Bcc: addresses(t), InReplyTo: nOctets(t), MessageID: nOctets(t)}
}

func params(t *rapid.T) []imap.Param {
	return several(t, 0, 3, func(t *rapid.T) imap.Param { return imap.Param{Name: text(t), Value: text(t)} })
}

func structure(depth int, extended bool) func(*rapid.T) *imap.BodyStructure {
	return func(t *rapid.T) *imap.BodyStructure {
		b := &imap.BodyStructure{}
		if depth > 0 && yes(t) {
			b.Parts, b.Subtype = several(t, 1, 3, structure(depth-1, extended)), text(t)
		} else {
			b.Type, b.Subtype = pick(t, "text", "message", "image", text(t)), pick(t, "plain", "RFC822", "global", text(t))
			b.Params, b.ID, b.Description, b.Encoding, b.Size = params(t), nOctets(t), nOctets(t), "x"+text(t), uint64(number64(t))
			isMessage := b.Type == "message" && (b.Subtype == "RFC822" || b.Subtype == "global")
			if isMessage {
				b.Envelope, b.Message = envelope(t), &imap.BodyStructure{Type: "text", Subtype: "plain", Encoding: "7BIT"}
				if depth > 0 {
					b.Message = structure(depth-1, extended)(t)
				}
			}
			if b.Message != nil || strings.EqualFold(b.Type, "text") {
				b.Lines = uint64(number64(t))
			}
		}
		if !extended {
			if len(b.Parts) > 0 {
				b.Params = nil
			}
			return b
		}
		if len(b.Parts) > 0 {
			b.Params = params(t)
		} else {
			b.MD5 = nOctets(t)
		}
		if yes(t) {
			b.Disposition = &imap.Disposition{Type: text(t), Params: params(t)}
		}
		b.Language, b.Location = several(t, 0, 2, text), nOctets(t)
		return b
	}
}

func fetchValue(t *rapid.T) imap.FetchValue {
	v := imap.FetchValue{Item: fetchItem(t)}
	v.Item.Peek, v.Item.Lazy = false, false
	if v.Item.Partial != nil {
		v.Item.Partial.Count = 0
	}
	switch v.Item.Kind {
	case imap.FetchFlags:
		v.Flags = flags(t)
	case imap.FetchInternalDate:
		v.Time = moment(t)
	case imap.FetchSaveDate:
		if yes(t) {
			v.Time = moment(t)
		}
	case imap.FetchRFC822Size, imap.FetchUID, imap.FetchBinarySize:
		v.Number = uint64(number64(t))
	case imap.FetchModSeq:
		v.Number = uint64(modSeq(t))
	case imap.FetchEmailID:
		v.ID = objectID(t)
	case imap.FetchThreadID:
		v.ID = pick(t, "", objectID(t))
	case imap.FetchEnvelope:
		v.Envelope = envelope(t)
	case imap.FetchBody, imap.FetchBodyStructure:
		v.Structure = structure(2, v.Item.Kind == imap.FetchBodyStructure)(t)
	case imap.FetchBinary:
		v.Octets = nOctets(t)
		if v.Octets != nil {
			v.Octets = append(v.Octets, 0)
		}
	default:
		v.Octets = nOctets(t)
	}
	return v
}

func threadNode(depth int) func(*rapid.T) imap.ThreadNode {
	return func(t *rapid.T) imap.ThreadNode {
		n := imap.ThreadNode{Number: nz(t)}
		if depth > 0 {
			n.Children = several(t, 0, 3, threadNode(depth-1))
		}
		return n
	}
}

func numbers(t *rapid.T) []uint32 { return several(t, 0, 5, nz) }

func response(t *rapid.T) imap.Response {
	switch rapid.IntRange(0, 21).Draw(t, "kind") {
	case 0:
		return imap.Reply{Tag: pick(t, "", "a1"), Kind: pick(t, imap.OK, imap.NO, imap.BAD), Code: respCode(t), Text: line(t)}
	case 1:
		return imap.Reply{Kind: pick(t, imap.BYE, imap.PREAUTH), Code: respCode(t), Text: line(t)}
	case 2:
		return imap.Continue{Text: line(t)}
	case 3:
		return imap.CapabilityData{Names: several(t, 0, 3, func(t *rapid.T) string { return strings.ToUpper(atom(t)) })}
	case 4:
		return imap.IDData{Fields: several(t, 0, 3, func(t *rapid.T) imap.IDField { return imap.IDField{Name: atom(t), Value: nOctets(t)} })}
	case 5:
		l := imap.ListData{Lsub: yes(t), NoLevels: yes(t), Folder: folder(t), OldName: folder(t)}
		l.Attributes = several(t, 0, 3, func(t *rapid.T) string { return pick(t, imap.UseSent, imap.AttrHasChildren, `\x-y`) })
		l.ChildInfo = several(t, 0, 2, func(t *rapid.T) string { return pick(t, "SUBSCRIBED", "SPECIAL-USE") })
		return l
	case 6:
		spaces := func(t *rapid.T) imap.Namespace {
			return imap.Namespace{Prefix: folder(t), Delimiter: pick[byte](t, 0, '/')}
		}
		return imap.NamespaceData{Personal: several(t, 0, 2, spaces), Others: several(t, 0, 2, spaces), Shared: several(t, 0, 2, spaces)}
	case 7:
		return imap.StatusData{Folder: folder(t), Values: several(t, 0, 4, func(t *rapid.T) imap.StatusValue {
			v := imap.StatusValue{Item: statusItem(t)}
			switch {
			case v.Item == imap.StatusMailboxID:
				v.ID = objectID(t)
			case v.Item == imap.StatusAppendLimit && yes(t):
				v.Nil = true
			default:
				v.Number = uint64(number64(t))
			}
			return v
		})}
	case 8:
		return imap.SearchData{Numbers: numbers(t), ModSeq: pick(t, 0, modSeq(t))}
	case 9:
		return imap.SortData{Numbers: numbers(t), ModSeq: pick(t, 0, modSeq(t))}
	case 10, 11:
		e := imap.ESearchData{Tag: "a" + utf8Text(t), UID: yes(t), Min: pick(t, 0, nz(t)), Max: pick(t, 0, nz(t)), HasCount: yes(t), ModSeq: pick(t, 0, modSeq(t))}
		if e.HasCount {
			e.Count = pick(t, 0, nz(t))
		}
		if yes(t) {
			e.All = plainNumSet(t)
		}
		if yes(t) {
			e.Folder, e.UIDValidity = newFolder(t), nz(t)
		}
		return e
	case 12:
		return imap.ThreadData{Threads: several(t, 0, 3, threadNode(3))}
	case 13:
		return imap.FlagsData{Flags: flags(t)}
	case 14:
		return imap.ExistsData{Count: pick(t, 0, nz(t))}
	case 15:
		return imap.ExpungeData{Number: nz(t)}
	case 16:
		return imap.VanishedData{Earlier: yes(t), UIDs: uidSet(t)}
	case 17:
		return imap.QuotaData{Root: utf8Text(t), Resources: several(t, 0, 2, func(t *rapid.T) imap.QuotaResource {
			return imap.QuotaResource{Name: word(t), Usage: number64(t), Limit: math.MaxInt64}
		})}
	case 18:
		return imap.QuotaRootData{Folder: folder(t), Roots: several(t, 0, 2, utf8Text)}
	case 19:
		m := imap.MetadataData{Folder: folder(t), Values: several(t, 0, 3, metadataValue)}
		if len(m.Values) == 0 {
			m.Changed = several(t, 1, 3, entry)
		}
		return m
	default:
		return imap.FetchData{Number: nz(t), Values: several(t, 0, 4, fetchValue)}
	}
}

// Every response that is written is read as the same.
func TestResponseRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, e := response(t), imap.Encoder{Dialect: imap.Dialect{UTF8: yes(t)}}
		written := string(e.Response(r).Bytes())
		got, err := parseResponse(written, e.Dialect)
		if err != nil || !same(got, r) {
			t.Fatalf("%+v is written\n%q and read as\n%+v, %v", r, written, got, err)
		}
	})
}
