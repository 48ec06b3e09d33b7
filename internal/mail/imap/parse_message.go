package imap

import "porcupine/internal/mail"

// set reads a sequence set (RFC 9051 §9, sequence-set): "$" can be its last element.
func (r *reader) set() NumSet {
	var s NumSet
	for r.err == nil {
		if s.Saved = r.take('$'); s.Saved {
			break
		}
		first := r.seqNumber()
		last := first
		if r.take(':') {
			last = r.seqNumber()
		}
		s.Ranges = append(s.Ranges, NumRange{first, last})
		r.atMost(len(s.Ranges), SetElementsMax, "elements of a sequence set")
		if !r.take(',') {
			break
		}
	}
	return s
}

func (r *reader) seqNumber() uint32 {
	if r.take('*') {
		return Star
	}
	return uint32(r.nzNumber(numberMax))
}

// copying reads COPY and MOVE (RFC 9051 §6.4.7).
func (r *reader) copying() Args {
	r.sp()
	c := Copy{Set: r.set()}
	r.sp()
	c.Folder = r.folder()
	return c
}

// storing reads STORE (RFC 9051 §6.4.6, RFC 7162 §7).
func (r *reader) storing() Args {
	r.sp()
	s := Store{Set: r.set()}
	r.sp()
	if r.peek() == '(' {
		r.list(1, "modifiers of STORE", func() {
			if !r.isWord("UNCHANGEDSINCE") {
				r.fail("unknown modifier of STORE")
				return
			}
			r.sp()
			s.Conditional, s.UnchangedSince = true, mail.ModSeq(r.number(number64Max))
		})
		r.sp()
	}
	switch {
	case r.take('+'):
		s.Op = StoreAdd
	case r.take('-'):
		s.Op = StoreRemove
	}
	switch r.word("FLAGS") {
	case "FLAGS":
	case "FLAGS.SILENT":
		s.Silent = true
	default:
		r.fail("expected FLAGS")
	}
	r.sp()
	if r.peek() == '(' {
		s.Flags = r.flags()
		return s
	}
	s.Flags = []mail.Flag{r.flag()} // without parentheses there is one at least
	for r.more() && r.err == nil {
		r.sp()
		s.Flags = append(s.Flags, r.flag())
		r.atMost(len(s.Flags), FlagsMax, "flags")
	}
	s.Flags = canonicalFlags(s.Flags)
	return s
}

// fetching reads FETCH (RFC 9051 §6.4.5, RFC 7162 §7).
func (r *reader) fetching() Args {
	r.sp()
	f := Fetch{Set: r.set()}
	r.sp()
	switch {
	case r.isWord("ALL"):
		f.Items = macro(FetchFlags, FetchInternalDate, FetchRFC822Size, FetchEnvelope)
	case r.isWord("FAST"):
		f.Items = macro(FetchFlags, FetchInternalDate, FetchRFC822Size)
	case r.isWord("FULL"):
		f.Items = macro(FetchFlags, FetchInternalDate, FetchRFC822Size, FetchEnvelope, FetchBody)
	case r.peek() == '(':
		f.Items = r.fetchItems()
	default:
		f.Items = []FetchItem{r.fetchItem()}
	}
	if r.more() {
		r.sp()
		r.list(2, "modifiers of FETCH", func() { r.fetchModifier(&f) })
	}
	if f.Vanished && f.ChangedSince == 0 {
		r.fail("VANISHED needs CHANGEDSINCE")
	}
	return f
}

func macro(kinds ...FetchKind) (items []FetchItem) {
	for _, k := range kinds {
		items = append(items, FetchItem{Kind: k})
	}
	return items
}

func (r *reader) fetchModifier(f *Fetch) {
	switch r.word("a modifier of FETCH") {
	case "CHANGEDSINCE":
		if f.ChangedSince != 0 {
			r.fail("CHANGEDSINCE is there twice")
		}
		r.sp()
		f.ChangedSince = mail.ModSeq(r.nzNumber(number64Max))
	case "VANISHED":
		f.Vanished = true
	default:
		r.fail("unknown modifier of FETCH")
	}
}

func (r *reader) fetchItems() (items []FetchItem) {
	r.list(FetchItemsMax, "items of FETCH", func() { items = append(items, r.fetchItem()) })
	return items
}

// fetchItem reads one item (RFC 9051 §9, fetch-att).
func (r *reader) fetchItem() FetchItem {
	name := upper(string(r.run(func(c byte) bool { return isAtomChar(c) && c != '[' && c != '<' })))
	if r.peek() == '[' {
		return r.sectionItem(name)
	}
	it := FetchItem{Kind: FetchKind(name)}
	switch it.Kind {
	case FetchFlags, FetchInternalDate, FetchRFC822, FetchRFC822Header, FetchRFC822Text, FetchRFC822Size, FetchEnvelope, FetchBody,
		FetchBodyStructure, FetchUID, FetchModSeq, FetchEmailID, FetchThreadID, FetchSaveDate:
	case FetchPreview:
		r.previewModifier(&it)
	default:
		r.fail("unknown item of FETCH")
	}
	return it
}

// previewModifier reads "(LAZY)" after PREVIEW (RFC 8970 §3). Other parentheses are modifiers of FETCH.
func (r *reader) previewModifier(it *FetchItem) {
	const lazy = " (LAZY)"
	line := r.line()
	if end := r.pos + len(lazy); end <= len(line) && equalFold(string(line[r.pos:end]), lazy) {
		r.pos = end
		it.Lazy = true
	}
}

// sectionItem reads an item with brackets, from those on.
func (r *reader) sectionItem(name string) FetchItem {
	var it FetchItem
	switch name {
	case "BODY", "BODY.PEEK":
		it = FetchItem{Kind: FetchBodySection, Peek: name != "BODY", Section: r.section()}
	case "BINARY", "BINARY.PEEK", "BINARY.SIZE": // RFC 3516 §7
		it = FetchItem{Kind: FetchBinary, Peek: name == "BINARY.PEEK"}
		r.want('[')
		it.Section.Part = r.part()
		r.want(']')
		if name == "BINARY.SIZE" {
			it.Kind = FetchBinarySize
			return it
		}
	default:
		r.fail("unknown item of FETCH")
		return it
	}
	if r.take('<') {
		p := Partial{Offset: int64(r.number(number64Max))}
		r.want('.')
		p.Count = int64(r.nzNumber(number64Max))
		r.want('>')
		if p.Offset > number64Max-p.Count {
			r.fail("a partial range ends beyond 63 bits")
		}
		it.Partial = &p
	}
	return it
}

// part reads the numbers of a part, which may be none.
func (r *reader) part() (numbers []uint32) {
	for isDigit(r.peek()) {
		numbers = append(numbers, uint32(r.nzNumber(numberMax)))
		r.atMost(len(numbers), PartDepthMax, "levels of parts")
		if line := r.line(); r.pos+1 >= len(line) || line[r.pos] != '.' || !isDigit(line[r.pos+1]) {
			break
		}
		r.pos++
	}
	return numbers
}

// section reads a section with its brackets (RFC 9051 §9, section).
func (r *reader) section() (s Section) {
	r.want('[')
	s.Part = r.part()
	if r.take(']') {
		return s
	}
	if len(s.Part) > 0 {
		r.want('.')
	}
	s.Text = SectionText(r.word("a part of a message"))
	switch s.Text {
	case SectionHeader, SectionBody:
	case SectionMIME:
		if len(s.Part) == 0 {
			r.fail("MIME needs the number of a part")
		}
	case SectionHeaderFields, SectionHeaderFieldsNot:
		r.sp()
		r.list(HeaderFieldsMax, "names of fields", func() { s.Fields = append(s.Fields, r.short(fieldNameMax, "the name of a field")) })
	default:
		r.fail("there is no such part of a message")
	}
	r.want(']')
	return s
}
