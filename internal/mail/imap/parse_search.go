package imap

import (
	"unicode/utf8"

	"porcupine/internal/mail"
)

// searching reads SEARCH (RFC 9051 §6.4.4) and ESEARCH (RFC 7377 §3).
func (r *reader) searching(several bool) Args {
	var s Search
	r.sp()
	if several && r.isWord("IN") {
		r.sp()
		s.Sources = r.sources()
		r.sp()
	}
	s.Return = r.searchReturn()
	if r.isWord("CHARSET") {
		r.sp()
		s.Charset = r.charset()
		r.sp()
	}
	s.Key = r.criteria(s.Charset)
	return s
}

// sorting reads SORT (RFC 5256 §5).
func (r *reader) sorting() Args {
	r.sp()
	s := Sort{Return: r.searchReturn()}
	r.list(SortCriteriaMax, "sort criteria", func() {
		c := SortCriterion{Reverse: r.isWord("REVERSE")}
		if c.Reverse {
			r.sp()
		}
		c.Key = SortKey(r.word("a sort criterion"))
		switch c.Key {
		case SortArrival, SortCc, SortDate, SortFrom, SortSize, SortSubject, SortTo, SortDisplayFrom, SortDisplayTo:
		default:
			r.fail("unknown sort criterion")
		}
		s.Criteria = append(s.Criteria, c)
	})
	r.sp()
	s.Charset = r.charset()
	r.sp()
	s.Key = r.criteria(s.Charset)
	return s
}

// threading reads THREAD (RFC 5256 §5).
func (r *reader) threading() Args {
	r.sp()
	t := Thread{Algorithm: r.word("a threading algorithm")}
	r.sp()
	t.Charset = r.charset()
	r.sp()
	t.Key = r.criteria(t.Charset)
	return t
}

func (r *reader) charset() string { return upper(r.short(charsetMax, "a charset")) }

// searchReturn reads RETURN and the blank behind it, if it is there (RFC 4731 §3, RFC 5182 §2).
func (r *reader) searchReturn() (ret SearchReturn) {
	if !r.isWord("RETURN") {
		return ret
	}
	ret.Given = true
	r.sp()
	r.optionalList(searchReturnsMax, "return options", func() {
		switch r.word("a return option") {
		case "MIN":
			ret.Min = true
		case "MAX":
			ret.Max = true
		case "ALL":
			ret.All = true
		case "COUNT":
			ret.Count = true
		case "SAVE":
			ret.Save = true
		default:
			r.fail("unknown return option")
		}
	})
	if !ret.Min && !ret.Max && !ret.Count && !ret.Save {
		ret.All = true
	}
	r.sp()
	return ret
}

const (
	searchReturnsMax = 16 // return options of one search
	charsetMax       = 64 // octets of the name of a charset
	objectIDMax      = 255
)

// searcher reads the keys of one search.
type searcher struct {
	*reader
	keys int
	utf8 bool // texts must be UTF-8
}

// criteria reads the keys of a search to the end.
func (r *reader) criteria(charset string) SearchKey {
	s := searcher{reader: r, utf8: charset == "" || charset == "UTF-8" || charset == "US-ASCII"}
	keys := []SearchKey{s.key(0)}
	for r.more() && r.err == nil {
		r.sp()
		keys = append(keys, s.key(0))
	}
	return all(keys)
}

func all(keys []SearchKey) SearchKey {
	if len(keys) == 1 {
		return keys[0]
	}
	return SearchKey{Op: SearchAnd, Keys: keys}
}

// key reads one key (RFC 9051 §9, search-key).
func (s *searcher) key(depth int) SearchKey {
	s.keys++
	s.atMost(s.keys, SearchKeysMax, "search keys")
	s.atMost(depth, DepthMax, "search keys in search keys")
	if s.err != nil {
		return SearchKey{}
	}
	switch c := s.peek(); {
	case c == '(':
		var keys []SearchKey
		s.list(SearchKeysMax, "search keys", func() { keys = append(keys, s.key(depth+1)) })
		return all(keys)
	case c == '*' || c == '$' || isDigit(c):
		return SearchKey{Op: SearchNumbers, Set: s.set()}
	}
	name := s.word("a search key")
	if flag, has := flagKey(name); flag != "" {
		return SearchKey{Op: has, Flag: flag}
	}
	return s.named(SearchOp(name), depth)
}

// flagKey gives the keys that are about system flags.
func flagKey(name string) (mail.Flag, SearchOp) {
	switch name {
	case "ANSWERED":
		return mail.FlagAnswered, SearchHasFlag
	case "DELETED":
		return mail.FlagDeleted, SearchHasFlag
	case "DRAFT":
		return mail.FlagDraft, SearchHasFlag
	case "FLAGGED":
		return mail.FlagFlagged, SearchHasFlag
	case "SEEN":
		return mail.FlagSeen, SearchHasFlag
	case "UNANSWERED":
		return mail.FlagAnswered, SearchLacksFlag
	case "UNDELETED":
		return mail.FlagDeleted, SearchLacksFlag
	case "UNDRAFT":
		return mail.FlagDraft, SearchLacksFlag
	case "UNFLAGGED":
		return mail.FlagFlagged, SearchLacksFlag
	case "UNSEEN":
		return mail.FlagSeen, SearchLacksFlag
	}
	return "", ""
}

// named reads the arguments of a key.
func (s *searcher) named(op SearchOp, depth int) SearchKey {
	k := SearchKey{Op: op}
	switch op {
	case SearchAll, SearchNew, SearchOld, SearchRecent, SearchSaveDateSupported:
		return k
	case SearchNot:
		s.sp()
		k.Keys = []SearchKey{s.key(depth + 1)}
		return k
	case SearchOr:
		s.sp()
		first := s.key(depth + 1)
		s.sp()
		k.Keys = []SearchKey{first, s.key(depth + 1)}
		return k
	}
	s.sp()
	switch op {
	case SearchUIDs:
		k.Set = s.set()
	case SearchHasFlag, SearchLacksFlag:
		k.Flag = s.keyword()
	case SearchBcc, SearchBody, SearchCc, SearchFrom, SearchSubject, SearchText, SearchTo:
		k.Text = s.wanted()
	case SearchHeader:
		k.Field = s.short(fieldNameMax, "the name of a field")
		s.sp()
		k.Text = s.wanted()
	case SearchBefore, SearchOn, SearchSince, SearchSentBefore, SearchSentOn, SearchSentSince, SearchSavedBefore, SearchSavedOn, SearchSavedSince:
		s.day(&k)
	case SearchLarger, SearchSmaller:
		k.Number = int64(s.number(number64Max))
	case SearchOlder, SearchYounger: // RFC 5032 §3
		k.Number = int64(s.nzNumber(numberMax))
	case SearchModSeq:
		s.modSeq(&k)
	case SearchEmailID, SearchThreadID:
		k.ID = s.objectID()
	default:
		s.fail("unknown search key")
	}
	return k
}

// wanted reads the text to search for.
func (s *searcher) wanted() string {
	text := s.astring("a text")
	if s.utf8 && s.err == nil && !utf8.ValidString(text) {
		s.fail("the text to search for is not UTF-8: name its CHARSET")
	}
	return text
}

// keyword reads the argument of KEYWORD. A system flag is not one (RFC 9051 §9, flag-keyword).
func (s *searcher) keyword() mail.Flag {
	f, err := ParseFlag(s.atom("a keyword"))
	if err != nil {
		s.fail(err.Error())
	}
	return f
}

// day reads a date, with or without quotes (RFC 9051 §9, date).
func (s *searcher) day(k *SearchKey) {
	var text string
	if s.peek() == '"' {
		text = string(s.quoted())
	} else {
		text = s.atom("a date")
	}
	var err error
	if k.Date, err = ParseDate(text); err != nil {
		s.fail("a date is wrong: it is written 1-Feb-1994")
	}
}

// modSeq reads the arguments of MODSEQ (RFC 7162 §7).
func (s *searcher) modSeq(k *SearchKey) {
	if s.peek() == '"' {
		name := string(s.quoted())
		flag, isFlag := cutPrefixFold(name, "/flags/")
		flag, err := entryFlag(flag)
		if (!isFlag || err != nil) && s.err == nil {
			s.fail(`a search for MODSEQ of a flag is written "/flags/\\draft" all 1`)
		}
		k.Entry = flag
		s.sp()
		switch k.Scope = lower(s.atom("priv, shared or all")); k.Scope {
		case "priv", "shared", "all":
		default:
			s.fail("expected priv, shared or all")
		}
		s.sp()
	}
	k.ModSeq = mail.ModSeq(s.number(number64Max))
}

// entryFlag gives the canonical form of the flag that an entry-name has. Flags that nobody can set may
// be asked about.
func entryFlag(name string) (string, error) {
	f, err := ParseFlag(name)
	if err != nil && len(name) > 1 && len(name) <= KeywordLengthMax && name[0] == '\\' && isAtom(name[1:]) {
		return lower(name), nil
	}
	return string(f), err
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !equalFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// objectID reads an objectid (RFC 8474 §7).
func (r *reader) objectID() string {
	id := r.run(isObjectIDChar)
	if len(id) == 0 || len(id) > objectIDMax {
		r.fail("expected an object id" + r.seen())
		return ""
	}
	return string(id)
}
