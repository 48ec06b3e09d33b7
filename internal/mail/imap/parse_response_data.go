package imap

import "porcupine/internal/mail"

// listData reads LIST and LSUB (RFC 9051 §7.3.1), behind the name.
func (r *reader) listData(lsub bool) Response {
	l := ListData{Lsub: lsub}
	r.optionalList(StatusItemsMax, "attributes", func() { l.Attributes = append(l.Attributes, r.attribute()) })
	r.sp()
	d := r.nstring("a delimiter")
	switch {
	case d == nil:
		l.NoLevels = true
	case len(d) != 1:
		r.fail("a delimiter is one octet")
	case d[0] != Delimiter:
		l.Delimiter = d[0]
	}
	r.sp()
	l.Folder = r.folderAsIs()
	if !r.more() {
		return l
	}
	r.sp()
	r.list(StatusItemsMax, "extended items", func() {
		switch upper(r.astring("an extended item")) {
		case "CHILDINFO":
			r.sp()
			r.list(StatusItemsMax, "words", func() { l.ChildInfo = append(l.ChildInfo, upper(r.astring("a word"))) })
		case "OLDNAME":
			r.sp()
			r.list(1, "names", func() { l.OldName = r.folderAsIs() })
		default:
			r.fail("unknown extended item")
		}
	})
	return l
}

func (r *reader) namespaces() (spaces []Namespace) {
	r.sp()
	if r.isWord("NIL") {
		return nil
	}
	r.want('(')
	for r.peek() == '(' && r.err == nil {
		r.want('(')
		n := Namespace{Prefix: r.folderAsIs()}
		r.sp()
		if d := r.nstring("a delimiter"); len(d) == 1 {
			n.Delimiter = d[0]
		}
		r.want(')')
		spaces = append(spaces, n)
		r.atMost(len(spaces), FoldersMax, "namespaces")
	}
	r.want(')')
	return spaces
}

func (r *reader) statusData() Response {
	s := StatusData{Folder: r.folderAsIs()}
	r.sp()
	r.optionalList(StatusItemsMax, "status items", func() {
		v := StatusValue{Item: r.statusItem()}
		r.sp()
		switch {
		case v.Item == StatusMailboxID:
			r.list(1, "ids", func() { v.ID = r.objectID() })
		case v.Item == StatusAppendLimit && r.isWord("NIL"):
			v.Nil = true
		default:
			v.Number = r.number(number64Max)
		}
		s.Values = append(s.Values, v)
	})
	return s
}

func (r *reader) quotaData() Response {
	q := QuotaData{Root: r.astring("a quota root")}
	r.sp()
	r.optionalList(ResourcesMax, "resources", func() {
		res := QuotaResource{Name: r.word("a resource")}
		r.sp()
		res.Usage = int64(r.number(number64Max))
		r.sp()
		res.Limit = int64(r.number(number64Max))
		q.Resources = append(q.Resources, res)
	})
	return q
}

func (r *reader) metadataData() Response {
	m := MetadataData{Folder: r.folderAsIs()}
	r.sp()
	if r.peek() == '(' {
		m.Values = r.metadataValues()
		return m
	}
	for first := true; r.err == nil && (first || r.more()); first = false {
		if !first {
			r.sp()
		}
		m.Changed = append(m.Changed, r.entry())
		r.atMost(len(m.Changed), EntriesMax, "entries")
	}
	return m
}

// code reads a response code between its brackets (RFC 9051 §9, resp-text-code).
func (r *reader) code() Code {
	c := Code{Name: CodeName(r.word("a response code"))}
	if c.Name == "METADATA" && r.take(' ') {
		c.Name += CodeName(" " + r.word("a response code"))
	}
	switch c.Name {
	case CodeHighestModSeq, CodeUIDNext, CodeUIDValidity, CodeUnseen, CodeMetadataLongEntries, CodeMetadataMaxSize:
		r.sp()
		c.Number = r.number(number64Max)
	case CodeAppendUID, CodeCopyUID:
		r.sp()
		c.Number = r.nzNumber(numberMax)
		if c.Name == CodeCopyUID {
			r.sp()
			c.From = r.uids()
		}
		r.sp()
		c.To = r.uids()
		if c.Name == CodeCopyUID && len(c.From) != len(c.To) {
			r.fail("COPYUID has more UIDs on one side than on the other")
		}
	case CodeModified:
		r.sp()
		c.Set = r.set()
	case CodePermanentFlags:
		r.sp()
		r.optionalList(ResponseItemsMax, "flags", func() { c.Words = append(c.Words, string(shownFlag(r.flagText()))) })
	case CodeBadCharset:
		if r.take(' ') {
			r.optionalList(ResponseItemsMax, "charsets", func() { c.Words = append(c.Words, r.astring("a charset")) })
		}
	case CodeMailboxID, CodeBadEvent:
		r.sp()
		r.optionalList(ResponseItemsMax, "words", func() { c.Words = append(c.Words, r.atom("a word")) })
	default:
		for r.take(' ') && r.err == nil {
			word := string(r.run(func(b byte) bool { return b != ']' && b != ' ' }))
			c.Words = append(c.Words, word)
		}
	}
	return c
}

// uids reads UIDs in their order.
func (r *reader) uids() (uids []mail.UID) {
	s := r.plainSet()
	if s.size() > UIDsInCodeMax {
		r.limit("too many UIDs in a response code")
		return nil
	}
	for _, each := range s.Ranges {
		first, last := each.bounds(0)
		for u := uint64(first); u <= uint64(last) && first != 0; u++ {
			uids = append(uids, mail.UID(u))
		}
	}
	return uids
}

// fetchValues reads the items of a FETCH response (RFC 9051 §9, msg-att).
func (r *reader) fetchValues() (values []FetchValue) {
	r.optionalList(FetchItemsMax, "items", func() { values = append(values, r.fetchValue()) })
	return values
}

func (r *reader) fetchValue() FetchValue {
	v := FetchValue{Item: r.fetchName()}
	r.sp()
	switch v.Item.Kind {
	case FetchFlags:
		v.Flags = r.shownFlags()
	case FetchInternalDate, FetchSaveDate:
		if v.Item.Kind == FetchSaveDate && r.isWord("NIL") {
			break
		}
		t, err := ParseDateTime(string(r.quoted()))
		if err != nil {
			r.fail(err.Error())
		}
		v.Time = t
	case FetchRFC822Size, FetchUID, FetchBinarySize:
		v.Number = r.number(number64Max)
	case FetchModSeq:
		r.list(1, "numbers", func() { v.Number = r.nzNumber(number64Max) })
	case FetchEmailID, FetchThreadID:
		if v.Item.Kind == FetchThreadID && r.isWord("NIL") {
			break
		}
		r.list(1, "ids", func() { v.ID = r.objectID() })
	case FetchEnvelope:
		v.Envelope = r.envelope()
	case FetchBody, FetchBodyStructure:
		v.Structure = r.structure(0)
	default:
		v.Octets = r.value()
	}
	return v
}

// fetchName reads the name of an item in a FETCH response.
func (r *reader) fetchName() FetchItem {
	name := upper(string(r.run(func(c byte) bool { return isAtomChar(c) && c != '[' && c != '<' })))
	it := FetchItem{Kind: FetchKind(name)}
	if r.peek() != '[' {
		switch it.Kind {
		case FetchFlags, FetchInternalDate, FetchRFC822, FetchRFC822Header, FetchRFC822Text, FetchRFC822Size, FetchEnvelope, FetchBody,
			FetchBodyStructure, FetchUID, FetchModSeq, FetchEmailID, FetchThreadID, FetchSaveDate, FetchPreview:
		default:
			r.fail("unknown item of FETCH")
		}
		return it
	}
	switch it.Kind += "["; it.Kind {
	case FetchBodySection:
		it.Section = r.section()
	case FetchBinary, FetchBinarySize:
		r.want('[')
		it.Section.Part = r.part()
		r.want(']')
	default:
		r.fail("unknown item of FETCH")
	}
	if r.take('<') {
		it.Partial = &Partial{Offset: int64(r.number(number64Max))}
		r.want('>')
	}
	return it
}
