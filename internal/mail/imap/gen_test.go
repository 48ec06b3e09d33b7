package imap_test

import (
	"math"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
)

// Generators of values as the parser gives them.

func pick[T any](t *rapid.T, from ...T) T { return rapid.SampledFrom(from).Draw(t, "pick") }

func yes(t *rapid.T) bool { return rapid.Bool().Draw(t, "yes") }

func several[T any](t *rapid.T, least, most int, one func(*rapid.T) T) (list []T) {
	for range rapid.IntRange(least, most).Draw(t, "count") {
		list = append(list, one(t))
	}
	return list
}

const atomLetters = "abcXYZ019.-_$&+/:;=?@[^`|~!#',<>"

func atom(t *rapid.T) string {
	return rapid.StringOfN(rapid.RuneFrom([]rune(atomLetters)), 1, 12, -1).Draw(t, "atom")
}

func word(t *rapid.T) string { return strings.ToUpper(atom(t)) }

// text is any octets that a string can have.
func text(t *rapid.T) string {
	s := pick(t, "", "NIL", "nil", "a", `a"b\`, "a b", "é", "\xff", "x\r\n", "{3}", "(", "*", "%", rapid.String().Draw(t, "text"))
	return strings.ReplaceAll(s, "\x00", "")
}

func utf8Text(t *rapid.T) string { return strings.ToValidUTF8(text(t), "?") }

func nOctets(t *rapid.T) []byte {
	if yes(t) {
		return nil
	}
	return []byte(text(t))
}

func folder(t *rapid.T) string {
	name := strings.ToValidUTF8(pick(t, "INBOX", "inbox/a", "a b", "Entwürfe", "日本語", "&", "a&b", "", "*", "\U0001F4E7", rapid.StringN(0, 20, 200).Draw(t, "name")), "x")
	return imap.CanonicalName(strings.Map(func(r rune) rune {
		if r == 0 || r == '\r' || r == '\n' {
			return -1
		}
		return r
	}, name))
}

// newFolder has no delimiter at the end.
func newFolder(t *rapid.T) string {
	return imap.CanonicalName(strings.TrimRight(folder(t), "/") + "x")
}

func nz(t *rapid.T) uint32 {
	return pick(t, 1, math.MaxUint32, rapid.Uint32Range(1, math.MaxUint32).Draw(t, "n"))
}

func modSeq(t *rapid.T) mail.ModSeq {
	return mail.ModSeq(pick(t, 1, math.MaxInt64, rapid.Uint64Range(1, math.MaxInt64).Draw(t, "modseq")))
}

func number64(t *rapid.T) int64 {
	return pick(t, 0, math.MaxInt64, rapid.Int64Range(0, math.MaxInt64).Draw(t, "n"))
}

func numSet(t *rapid.T) imap.NumSet {
	if rapid.IntRange(0, 9).Draw(t, "saved") == 0 {
		return imap.NumSet{Saved: true}
	}
	return imap.NumSet{Saved: rapid.IntRange(0, 9).Draw(t, "saved too") == 0, Ranges: several(t, 1, 4, func(t *rapid.T) imap.NumRange {
		r := imap.NumRange{First: pick(t, imap.Star, nz(t)), Last: pick(t, imap.Star, nz(t))}
		return r
	})}
}

// plainNumSet has neither "*" nor "$".
func plainNumSet(t *rapid.T) imap.NumSet {
	return imap.NumSet{Ranges: several(t, 1, 4, func(t *rapid.T) imap.NumRange {
		return imap.NumRange{First: nz(t), Last: nz(t)}
	})}
}

func flag(t *rapid.T) mail.Flag {
	return pick(t, mail.FlagSeen, mail.FlagDeleted, mail.FlagAnswered, "$junk", "$forwarded", mail.Flag(strings.ToLower(atom(t))))
}

func flags(t *rapid.T) []mail.Flag {
	f := append([]mail.Flag{}, several(t, 0, 4, flag)...)
	slices.Sort(f)
	return slices.Compact(f)
}

func moment(t *rapid.T) time.Time {
	zone := rapid.IntRange(-14*60, 14*60).Draw(t, "zone")
	return time.Unix(rapid.Int64Range(-60_000_000_000, 250_000_000_000).Draw(t, "time"), 0).In(time.FixedZone("", zone*60))
}

func date(t *rapid.T) time.Time {
	y, m, d := moment(t).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

func lit(t *rapid.T) imap.Literal {
	s := text(t)
	l := imap.Literal{Index: -1, Binary: yes(t)}
	if l.Binary {
		s += "\x00"
	}
	l.Octets, l.Size = []byte(s), int64(len(s))
	return l
}

func appendMessage(t *rapid.T) (m imap.AppendMessage) {
	if yes(t) {
		m.Flags = flags(t)
	}
	if yes(t) {
		m.Received = moment(t)
	}
	switch rapid.IntRange(0, 3).Draw(t, "form") {
	case 0:
		m.Parts = several(t, 1, 3, func(t *rapid.T) imap.CatPart {
			if yes(t) {
				return imap.CatPart{URL: "/" + utf8Text(t)}
			}
			return imap.CatPart{Text: lit(t)}
		})
	case 1:
		m.UTF8, m.Data = true, lit(t)
		m.Data.Binary = true
	default:
		m.Data = lit(t)
	}
	return m
}

func section(t *rapid.T) (s imap.Section) {
	s.Part = several(t, 0, 3, nz)
	s.Text = pick(t, imap.SectionAll, imap.SectionHeader, imap.SectionBody, imap.SectionHeaderFields, imap.SectionHeaderFieldsNot, imap.SectionMIME)
	if s.Text == imap.SectionMIME && len(s.Part) == 0 {
		s.Text = imap.SectionAll
	}
	if strings.HasPrefix(string(s.Text), "HEADER.FIELDS") {
		s.Fields = several(t, 1, 3, text)
	}
	return s
}

func fetchItem(t *rapid.T) imap.FetchItem {
	it := imap.FetchItem{Kind: pick(t, imap.FetchFlags, imap.FetchInternalDate, imap.FetchRFC822, imap.FetchRFC822Header, imap.FetchRFC822Text,
		imap.FetchRFC822Size, imap.FetchEnvelope, imap.FetchBody, imap.FetchBodyStructure, imap.FetchUID, imap.FetchModSeq, imap.FetchEmailID,
		imap.FetchThreadID, imap.FetchSaveDate, imap.FetchPreview, imap.FetchBodySection, imap.FetchBinary, imap.FetchBinarySize)}
	switch it.Kind {
	case imap.FetchPreview:
		it.Lazy = yes(t)
	case imap.FetchBodySection:
		it.Section = section(t)
	case imap.FetchBinary, imap.FetchBinarySize:
		it.Section.Part = several(t, 0, 3, nz)
	}
	if it.Kind == imap.FetchBodySection || it.Kind == imap.FetchBinary {
		it.Peek = yes(t)
		if yes(t) {
			count := rapid.Int64Range(1, math.MaxInt64).Draw(t, "octets")
			it.Partial = &imap.Partial{Offset: rapid.Int64Range(0, math.MaxInt64-count).Draw(t, "offset"), Count: count}
		}
	}
	return it
}

func objectID(t *rapid.T) string { return rapid.StringMatching(`[A-Za-z0-9_-]{1,20}`).Draw(t, "id") }

func searchKey(depth int) func(*rapid.T) imap.SearchKey {
	return func(t *rapid.T) (k imap.SearchKey) {
		k.Op = pick(t, imap.SearchAll, imap.SearchNumbers, imap.SearchUIDs, imap.SearchHasFlag, imap.SearchLacksFlag, imap.SearchNew, imap.SearchOld,
			imap.SearchRecent, imap.SearchBcc, imap.SearchBody, imap.SearchText, imap.SearchHeader, imap.SearchBefore, imap.SearchSentOn, imap.SearchSavedSince,
			imap.SearchSaveDateSupported, imap.SearchLarger, imap.SearchYounger, imap.SearchModSeq, imap.SearchEmailID, imap.SearchThreadID,
			imap.SearchAnd, imap.SearchOr, imap.SearchNot)
		if depth == 0 && slices.Contains([]imap.SearchOp{imap.SearchAnd, imap.SearchOr, imap.SearchNot}, k.Op) {
			k.Op = imap.SearchAll
		}
		switch k.Op {
		case imap.SearchAnd:
			k.Keys = several(t, 2, 4, searchKey(depth-1))
		case imap.SearchOr:
			k.Keys = several(t, 2, 2, searchKey(depth-1))
		case imap.SearchNot:
			k.Keys = several(t, 1, 1, searchKey(depth-1))
		case imap.SearchNumbers, imap.SearchUIDs:
			k.Set = numSet(t)
		case imap.SearchHasFlag, imap.SearchLacksFlag:
			k.Flag = flag(t)
		case imap.SearchBcc, imap.SearchBody, imap.SearchText:
			k.Text = utf8Text(t)
		case imap.SearchHeader:
			k.Field, k.Text = text(t), utf8Text(t)
		case imap.SearchBefore, imap.SearchSentOn, imap.SearchSavedSince:
			k.Date = date(t)
		case imap.SearchLarger:
			k.Number = number64(t)
		case imap.SearchYounger:
			k.Number = int64(nz(t))
		case imap.SearchModSeq:
			k.ModSeq = mail.ModSeq(number64(t))
			if yes(t) {
				k.Entry, k.Scope = pick(t, `\Seen`, `\recent`, "foo"), pick(t, "priv", "shared", "all")
			}
		case imap.SearchEmailID, imap.SearchThreadID:
			k.ID = objectID(t)
		}
		return k
	}
}

func searchReturn(t *rapid.T) (r imap.SearchReturn) {
	if r.Given = yes(t); !r.Given {
		return r
	}
	r.Min, r.Max, r.All, r.Count, r.Save = yes(t), yes(t), yes(t), yes(t), yes(t)
	if !r.Min && !r.Max && !r.Count && !r.Save {
		r.All = true
	}
	return r
}

func statusItem(t *rapid.T) imap.StatusItem {
	return pick(t, imap.StatusMessages, imap.StatusUIDNext, imap.StatusSize, imap.StatusMailboxID, imap.StatusAppendLimit, imap.StatusDeletedStorage)
}

func list(t *rapid.T) imap.List {
	l := imap.List{Reference: folder(t), Patterns: []string{folder(t)}}
	if l.Several = yes(t); !l.Several {
		return l
	}
	l.Patterns = several(t, 1, 3, folder)
	l.SelectSubscribed, l.SelectRemote, l.SelectSpecialUse = yes(t), yes(t), yes(t)
	l.RecursiveMatch = l.SelectSubscribed && yes(t)
	l.ReturnSubscribed, l.ReturnChildren, l.ReturnSpecialUse = yes(t), yes(t), yes(t)
	if yes(t) {
		l.ReturnStatus = several(t, 1, 3, statusItem)
	}
	return l
}

func selecting(t *rapid.T) imap.Select {
	s := imap.Select{Folder: folder(t), CondStore: yes(t)}
	if yes(t) {
		s.QResync = &imap.QResync{UIDValidity: nz(t), ModSeq: modSeq(t)}
		if yes(t) {
			s.QResync.Known = plainNumSet(t)
		}
		if yes(t) {
			s.QResync.MatchNumbers = plainNumSet(t)
			s.QResync.MatchUIDs = imap.NumSet{Ranges: slices.Clone(s.QResync.MatchNumbers.Ranges)}
		}
	}
	return s
}

func entry(t *rapid.T) string {
	return rapid.StringMatching(`/(private|shared)(/[a-z !"\\]{0,5}[a-z]){1,3}`).Draw(t, "entry")
}

func metadataValue(t *rapid.T) imap.MetadataValue {
	v := imap.MetadataValue{Entry: entry(t), Value: nOctets(t)}
	if v.Value != nil && yes(t) {
		v.Value = append(v.Value, 0)
	}
	return v
}

func filter(notify bool) func(*rapid.T) imap.FolderFilter {
	return func(t *rapid.T) imap.FolderFilter {
		f := imap.FolderFilter{Kind: pick(t, imap.FilterSelected, imap.FilterInboxes, imap.FilterPersonal, imap.FilterSubtree, imap.FilterMailboxes)}
		if f.Kind == imap.FilterSelected && notify {
			f.Kind = imap.FilterSelectedDelayed
		}
		if f.Kind == imap.FilterSubtree || f.Kind == imap.FilterMailboxes {
			f.Folders = several(t, 1, 3, folder)
		}
		return f
	}
}

func notify(t *rapid.T) imap.Notify {
	if yes(t) {
		return imap.Notify{None: true}
	}
	return imap.Notify{Status: yes(t), Groups: several(t, 1, 3, func(t *rapid.T) imap.EventGroup {
		return imap.EventGroup{Filter: filter(true)(t), Events: several(t, 0, 3, func(t *rapid.T) imap.Event {
			e := imap.Event{Kind: pick(t, imap.EventMessageNew, imap.EventFlagChange, imap.EventMailboxName)}
			if e.Kind == imap.EventMessageNew {
				e.Fetch = several(t, 0, 2, fetchItem)
			}
			return e
		})}
	})}
}

// arguments are those of the commands by verb.
var arguments = map[imap.Verb]func(*rapid.T) imap.Args{
	imap.VerbNoop: func(*rapid.T) imap.Args { return nil },
	imap.VerbIdle: func(*rapid.T) imap.Args { return nil },
	imap.VerbID: func(t *rapid.T) imap.Args {
		return imap.ID{Fields: several(t, 0, 3, func(t *rapid.T) imap.IDField { return imap.IDField{Name: atom(t), Value: nOctets(t)} })}
	},
	imap.VerbAuthenticate: func(t *rapid.T) imap.Args { return imap.Authenticate{Mechanism: word(t), Initial: nOctets(t)} },
	imap.VerbLogin:        func(t *rapid.T) imap.Args { return imap.Login{User: text(t), Password: text(t)} },
	imap.VerbCompress:     func(t *rapid.T) imap.Args { return imap.Compress{Mechanism: word(t)} },
	imap.VerbEnable:       func(t *rapid.T) imap.Args { return imap.Enable{Capabilities: several(t, 1, 3, word)} },
	imap.VerbSelect:       func(t *rapid.T) imap.Args { return selecting(t) },
	imap.VerbExamine:      func(t *rapid.T) imap.Args { return selecting(t) },
	imap.VerbCreate: func(t *rapid.T) imap.Args {
		return imap.Create{Folder: newFolder(t), Use: several(t, 0, 2, func(t *rapid.T) string { return pick(t, imap.UseSent, `\x-foo`) })}
	},
	imap.VerbDelete:    func(t *rapid.T) imap.Args { return imap.Name{Folder: folder(t)} },
	imap.VerbRename:    func(t *rapid.T) imap.Args { return imap.Rename{From: folder(t), To: newFolder(t)} },
	imap.VerbSubscribe: func(t *rapid.T) imap.Args { return imap.Name{Folder: folder(t)} },
	imap.VerbList:      func(t *rapid.T) imap.Args { return list(t) },
	imap.VerbLsub:      func(t *rapid.T) imap.Args { return imap.List{Reference: folder(t), Patterns: []string{folder(t)}} },
	imap.VerbStatus:    func(t *rapid.T) imap.Args { return imap.Status{Folder: folder(t), Items: several(t, 1, 4, statusItem)} },
	imap.VerbAppend: func(t *rapid.T) imap.Args {
		return imap.Append{Folder: folder(t), Messages: several(t, 1, 3, appendMessage)}
	},
	imap.VerbReplace: func(t *rapid.T) imap.Args {
		return imap.Replace{Number: pick(t, imap.Star, nz(t)), Folder: folder(t), Message: appendMessage(t)}
	},
	imap.VerbGetQuota:     func(t *rapid.T) imap.Args { return imap.GetQuota{Root: text(t)} },
	imap.VerbGetQuotaRoot: func(t *rapid.T) imap.Args { return imap.Name{Folder: folder(t)} },
	imap.VerbSetQuota: func(t *rapid.T) imap.Args {
		return imap.SetQuota{Root: text(t), Limits: several(t, 0, 2, func(t *rapid.T) imap.QuotaLimit {
			return imap.QuotaLimit{Resource: word(t), Limit: number64(t)}
		})}
	},
	imap.VerbGetMetadata: func(t *rapid.T) imap.Args {
		g := imap.GetMetadata{Folder: folder(t), Depth: pick(t, imap.DepthZero, imap.DepthOne, imap.DepthInfinity), Entries: several(t, 1, 3, entry)}
		if yes(t) {
			size := int64(nz(t))
			g.MaxSize = &size
		}
		return g
	},
	imap.VerbSetMetadata: func(t *rapid.T) imap.Args {
		return imap.SetMetadata{Folder: folder(t), Values: several(t, 1, 3, metadataValue)}
	},
	imap.VerbNotify: func(t *rapid.T) imap.Args { return notify(t) },
	imap.VerbESearch: func(t *rapid.T) imap.Args {
		return imap.Search{Sources: several(t, 0, 2, filter(false)), Return: searchReturn(t), Charset: pick(t, "", "UTF-8"), Key: searchKey(3)(t)}
	},
	imap.VerbSearch: func(t *rapid.T) imap.Args {
		return imap.Search{Return: searchReturn(t), Charset: pick(t, "", "UTF-8", "X-FOO"), Key: searchKey(3)(t)}
	},
	imap.VerbSort: func(t *rapid.T) imap.Args {
		return imap.Sort{Return: searchReturn(t), Charset: "UTF-8", Key: searchKey(2)(t), Criteria: several(t, 1, 3, func(t *rapid.T) imap.SortCriterion {
			return imap.SortCriterion{Key: pick(t, imap.SortArrival, imap.SortDisplayTo, imap.SortSubject), Reverse: yes(t)}
		})}
	},
	imap.VerbThread: func(t *rapid.T) imap.Args {
		return imap.Thread{Algorithm: pick(t, imap.ThreadReferences, word(t)), Charset: "UTF-8", Key: searchKey(2)(t)}
	},
	imap.VerbFetch: func(t *rapid.T) imap.Args {
		f := imap.Fetch{Set: numSet(t), Items: several(t, 1, 4, fetchItem)}
		if yes(t) {
			f.ChangedSince, f.Vanished = modSeq(t), yes(t)
		}
		return f
	},
	imap.VerbStore: func(t *rapid.T) imap.Args {
		s := imap.Store{Set: numSet(t), Op: pick(t, imap.StoreReplace, imap.StoreAdd, imap.StoreRemove), Silent: yes(t), Flags: flags(t)}
		if yes(t) {
			s.Conditional, s.UnchangedSince = true, mail.ModSeq(number64(t))
		}
		return s
	},
	imap.VerbCopy:    func(t *rapid.T) imap.Args { return imap.Copy{Set: numSet(t), Folder: folder(t)} },
	imap.VerbMove:    func(t *rapid.T) imap.Args { return imap.Copy{Set: numSet(t), Folder: folder(t)} },
	imap.VerbExpunge: func(t *rapid.T) imap.Args { return imap.Expunge{Set: numSet(t)} },
}

var uidVerbs = []imap.Verb{imap.VerbReplace, imap.VerbESearch, imap.VerbSearch, imap.VerbSort, imap.VerbThread, imap.VerbFetch, imap.VerbStore,
	imap.VerbCopy, imap.VerbMove}

func command(t *rapid.T) *imap.Command {
	var verbs []imap.Verb
	for v := range arguments {
		verbs = append(verbs, v)
	}
	slices.Sort(verbs)
	c := &imap.Command{Tag: rapid.StringMatching(`[A-Za-z0-9.]{1,10}`).Draw(t, "tag"), Verb: pick(t, verbs...)}
	c.UID = c.Verb == imap.VerbExpunge || slices.Contains(uidVerbs, c.Verb) && yes(t)
	c.Args = arguments[c.Verb](t)
	return c
}
