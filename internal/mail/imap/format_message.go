package imap

import "errors"

var errStreamed = errors.New("the octets of a message are not at hand: it was streamed")

// message writes one message of APPEND or REPLACE.
func (f *formatter) message(m AppendMessage) {
	f.raw(" ")
	if m.Flags != nil {
		f.dst = append(appendFlags(f.dst, m.Flags), ' ')
	}
	if !m.Received.IsZero() {
		f.dst = append(appendDateTime(f.dst, m.Received), ' ')
	}
	switch {
	case m.Parts != nil:
		f.raw("CATENATE ").list(len(m.Parts), func(i int) {
			if url := m.Parts[i].URL; url != "" {
				f.raw("URL ").astring(url)
				return
			}
			f.raw("TEXT ").data(m.Parts[i].Text)
		})
	case m.UTF8:
		f.raw("UTF8 (").data(m.Data).raw(")")
	default:
		f.data(m.Data)
	}
}

func (f *formatter) data(l Literal) *formatter {
	if l.Index >= 0 && f.err == nil {
		f.err = errStreamed
	}
	if l.Binary {
		f.raw("~")
	}
	f.dst = appendLiteral(f.dst, l.Octets, f.form)
	return f
}

// storing writes the arguments of STORE.
func (f *formatter) storing(s Store) {
	f.raw(" ").set(s.Set).raw(" ")
	if s.Conditional {
		f.raw("(UNCHANGEDSINCE ").number(uint64(s.UnchangedSince)).raw(") ")
	}
	switch s.Op {
	case StoreAdd:
		f.raw("+")
	case StoreRemove:
		f.raw("-")
	}
	f.raw("FLAGS")
	if s.Silent {
		f.raw(".SILENT")
	}
	f.dst = appendFlags(append(f.dst, ' '), s.Flags)
}

// fetching writes the arguments of FETCH.
func (f *formatter) fetching(a Fetch) {
	f.raw(" ").set(a.Set).raw(" ").fetchItems(a.Items)
	if a.ChangedSince == 0 {
		return
	}
	f.raw(" (CHANGEDSINCE ").number(uint64(a.ChangedSince))
	if a.Vanished {
		f.raw(" VANISHED")
	}
	f.raw(")")
}

func (f *formatter) fetchItems(items []FetchItem) *formatter {
	return f.list(len(items), func(i int) { f.dst = items[i].appendName(f.dst, f.dialect, f.form, false) })
}

// searchReturn writes RETURN, with a blank in front.
func (f *formatter) searchReturn(r SearchReturn) {
	if r.Given {
		f.raw(" RETURN ").raw(options(option{"MIN", r.Min}, option{"MAX", r.Max}, option{"ALL", r.All}, option{"COUNT", r.Count},
			option{"SAVE", r.Save}))
	}
}

// searching writes the arguments of SEARCH and ESEARCH.
func (f *formatter) searching(s Search) {
	if len(s.Sources) > 0 {
		f.raw(" IN ").list(len(s.Sources), func(i int) { f.filter(s.Sources[i]) })
	}
	f.searchReturn(s.Return)
	if s.Charset != "" {
		f.raw(" CHARSET ").astring(s.Charset)
	}
	f.raw(" ").criteria(s.Key)
}

// sorting writes the arguments of SORT.
func (f *formatter) sorting(s Sort) {
	f.searchReturn(s.Return)
	f.raw(" ").list(len(s.Criteria), func(i int) {
		if s.Criteria[i].Reverse {
			f.raw("REVERSE ")
		}
		f.raw(string(s.Criteria[i].Key))
	})
	f.raw(" ").astring(s.Charset).raw(" ").criteria(s.Key)
}

// criteria writes the keys of a search: those that must all hold need no parentheses there.
func (f *formatter) criteria(k SearchKey) {
	if k.Op != SearchAnd || len(k.Keys) == 0 {
		f.key(k)
		return
	}
	for i, each := range k.Keys {
		if i > 0 {
			f.raw(" ")
		}
		f.key(each)
	}
}

// key writes one key.
func (f *formatter) key(k SearchKey) {
	switch k.Op {
	case SearchAnd:
		if len(k.Keys) == 0 {
			f.raw("ALL")
			return
		}
		f.list(len(k.Keys), func(i int) { f.key(k.Keys[i]) })
		return
	case SearchNumbers:
		f.set(k.Set)
		return
	case SearchHasFlag, SearchLacksFlag:
		f.flagKey(k)
		return
	}
	f.raw(string(k.Op))
	switch k.Op {
	case SearchOr, SearchNot:
		for _, each := range k.Keys {
			f.raw(" ").key(each)
		}
	case SearchUIDs:
		f.raw(" ").set(k.Set)
	case SearchBcc, SearchBody, SearchCc, SearchFrom, SearchSubject, SearchText, SearchTo:
		f.raw(" ").astring(k.Text)
	case SearchHeader:
		f.raw(" ").astring(k.Field).raw(" ").astring(k.Text)
	case SearchBefore, SearchOn, SearchSince, SearchSentBefore, SearchSentOn, SearchSentSince, SearchSavedBefore, SearchSavedOn, SearchSavedSince:
		f.raw(" ").raw(k.Date.Format(dateForm))
	case SearchLarger, SearchSmaller, SearchOlder, SearchYounger:
		f.raw(" ").number(uint64(k.Number))
	case SearchModSeq:
		if k.Entry != "" {
			f.dst = appendString(append(f.dst, ' '), []byte("/flags/"+k.Entry), f.dialect, f.form)
			f.raw(" ").raw(k.Scope)
		}
		f.raw(" ").number(uint64(k.ModSeq))
	case SearchEmailID, SearchThreadID:
		f.raw(" ").raw(k.ID)
	}
}

// flagKey writes a key about a flag: system flags have keys of their own.
func (f *formatter) flagKey(k SearchKey) {
	if name := string(k.Flag); name != "" && name[0] == '\\' {
		if k.Op == SearchLacksFlag {
			f.raw("UN")
		}
		f.raw(upper(name[1:]))
		return
	}
	f.raw(string(k.Op)).raw(" ").raw(Presented(k.Flag))
}
