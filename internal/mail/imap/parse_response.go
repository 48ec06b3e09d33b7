package imap

import (
	"slices"

	"porcupine/internal/mail"
)

// isText reports whether a line is one whose end is text for people, in which no literal can be announced.
func (s *Scanner) isText(line []byte) bool {
	if len(s.parts) > 0 {
		return false
	}
	r := reader{parts: []part{{line: line}}}
	if r.take('+') {
		return true
	}
	if !r.take('*') {
		return true // tagged
	}
	r.take(' ')
	switch ReplyKind(upper(string(r.run(isAtomChar)))) {
	case OK, NO, BAD, BYE, PREAUTH:
		return true
	}
	return false
}

// Response parses a complete response. The error is a *SyntaxError. Responses that are not known give an error.
func (s *Scanner) Response(d Dialect) (Response, error) {
	r := reader{parts: s.parts, dialect: d}
	resp := r.response()
	if r.err != nil {
		return nil, &SyntaxError{Text: oneLine(r.err.Error()), TooLarge: r.tooLarge}
	}
	return resp, nil
}

// response parses a response (RFC 9051 §9, response).
func (r *reader) response() Response {
	if r.take('+') {
		r.take(' ')
		return Continue{Text: r.rest()}
	}
	if !r.take('*') {
		tag := r.run(isTagChar)
		if len(tag) == 0 || len(tag) > TagLengthMax {
			r.fail("expected a tag" + r.seen())
			return nil
		}
		r.sp()
		return r.reply(string(tag), ReplyKind(r.word("OK, NO or BAD")))
	}
	r.sp()
	if isDigit(r.peek()) {
		return r.numbered()
	}
	name := r.word("a response")
	switch ReplyKind(name) {
	case OK, NO, BAD, BYE, PREAUTH:
		return r.reply("", ReplyKind(name))
	}
	resp := r.named(name)
	r.end()
	return resp
}

// rest takes what is left of the line.
func (r *reader) rest() string {
	text := string(r.run(func(byte) bool { return true }))
	if len(text) > ResponseTextMax {
		r.limit("the text of a response is too long")
		return ""
	}
	return text
}

// reply reads a status response, behind its kind.
func (r *reader) reply(tag string, kind ReplyKind) Response {
	switch kind {
	case OK, NO, BAD:
	case BYE, PREAUTH:
		if tag != "" {
			r.fail("BYE and PREAUTH have no tag")
		}
	default:
		r.fail("expected OK, NO or BAD")
	}
	p := Reply{Tag: tag, Kind: kind}
	if r.take(' ') && r.take('[') {
		p.Code = r.code()
		r.want(']')
		r.take(' ')
	}
	p.Text = r.rest()
	return p
}

// numbered reads a response that begins with a number.
func (r *reader) numbered() Response {
	n := uint32(r.number(numberMax))
	r.sp()
	var resp Response
	switch name := r.word("a response"); name {
	case "EXISTS":
		resp = ExistsData{Count: n}
	case "RECENT":
		resp = RecentData{Count: n}
	case "EXPUNGE":
		resp = ExpungeData{Number: n}
	case "FETCH":
		r.sp()
		resp = FetchData{Number: n, Values: r.fetchValues()}
	default:
		r.fail("unknown response")
	}
	if n == 0 {
		switch resp.(type) {
		case ExpungeData, FetchData:
			r.fail("there is no message 0")
		}
	}
	r.end()
	return resp
}

// named reads a response that begins with a name.
func (r *reader) named(name string) Response {
	switch name {
	case "CAPABILITY":
		return CapabilityData{Names: r.names()}
	case "ENABLED":
		return EnabledData{Names: r.names()}
	case "ID":
		r.sp()
		return IDData{Fields: r.idFields()}
	case "LIST", "LSUB":
		r.sp()
		return r.listData(name == "LSUB")
	case "NAMESPACE":
		return NamespaceData{Personal: r.namespaces(), Others: r.namespaces(), Shared: r.namespaces()}
	case "STATUS":
		r.sp()
		return r.statusData()
	case "FLAGS":
		r.sp()
		return FlagsData{Flags: r.shownFlags()}
	case "SEARCH":
		numbers, m := r.numbers()
		return SearchData{Numbers: numbers, ModSeq: m}
	case "SORT":
		numbers, m := r.numbers()
		return SortData{Numbers: numbers, ModSeq: m}
	case "ESEARCH":
		return r.eSearchData()
	case "THREAD":
		return r.threadData()
	case "VANISHED":
		r.sp()
		v := VanishedData{}
		if r.peek() == '(' {
			r.list(1, "words", func() { v.Earlier = r.isWord("EARLIER") })
			r.sp()
		}
		v.UIDs = r.plainSet().Resolve(0)
		return v
	case "QUOTA":
		r.sp()
		return r.quotaData()
	case "QUOTAROOT":
		r.sp()
		q := QuotaRootData{Folder: r.folderAsIs()}
		for r.more() && r.err == nil {
			r.sp()
			q.Roots = append(q.Roots, r.astring("a quota root"))
		}
		return q
	case "METADATA":
		r.sp()
		return r.metadataData()
	}
	r.fail("unknown response")
	return nil
}

// names reads words, each with a blank in front.
func (r *reader) names() (names []string) {
	for r.more() && r.err == nil {
		r.sp()
		names = append(names, r.word("a capability"))
		r.atMost(len(names), CapabilitiesMax, "capabilities")
	}
	return names
}

// shownFlags reads flags as a server tells them: any, in the form in which they are compared.
func (r *reader) shownFlags() []mail.Flag {
	flags := []mail.Flag{}
	r.optionalList(ResponseItemsMax, "flags", func() { flags = append(flags, shownFlag(r.flagText())) })
	return flags
}

func (r *reader) flagText() string {
	if !r.take('\\') {
		return r.atom("a flag")
	}
	if r.take('*') {
		return FlagAnyKeyword
	}
	return `\` + r.atom("a flag")
}

func shownFlag(s string) mail.Flag {
	if f, err := ParseFlag(s); err == nil {
		return f
	}
	if equalFold(s, string(FlagRecent)) {
		return FlagRecent
	}
	return mail.Flag(s)
}

// numbers reads the numbers of SEARCH and SORT, and the modification sequence at the end (RFC 7162 §7).
func (r *reader) numbers() (numbers []uint32, m mail.ModSeq) {
	for r.more() && r.err == nil {
		r.sp()
		if r.peek() == '(' {
			r.list(1, "words", func() {
				if !r.isWord("MODSEQ") {
					r.fail("expected MODSEQ")
				}
				r.sp()
				m = mail.ModSeq(r.nzNumber(number64Max))
			})
			break
		}
		numbers = append(numbers, uint32(r.nzNumber(numberMax)))
		r.atMost(len(numbers), ResponseItemsMax, "numbers")
	}
	return numbers, m
}

// eSearchData reads ESEARCH (RFC 9051 §9, esearch-response; RFC 7377 §3).
func (r *reader) eSearchData() Response {
	var e ESearchData
	for r.more() && r.err == nil {
		r.sp()
		if r.peek() == '(' {
			r.list(3, "correlators", func() { r.correlator(&e) })
			continue
		}
		switch r.word("a result") {
		case "UID":
			e.UID = true
		case "MIN":
			r.sp()
			e.Min = uint32(r.nzNumber(numberMax))
		case "MAX":
			r.sp()
			e.Max = uint32(r.nzNumber(numberMax))
		case "COUNT":
			r.sp()
			e.HasCount, e.Count = true, uint32(r.number(numberMax))
		case "ALL":
			r.sp()
			e.All = r.set()
		case "MODSEQ":
			r.sp()
			e.ModSeq = mail.ModSeq(r.nzNumber(number64Max))
		default:
			r.fail("unknown result of ESEARCH")
		}
	}
	return e
}

func (r *reader) correlator(e *ESearchData) {
	switch r.word("a correlator") {
	case "TAG":
		r.sp()
		e.Tag = r.astring("a tag")
	case "MAILBOX":
		r.sp()
		e.Folder = r.folderAsIs()
	case "UIDVALIDITY":
		r.sp()
		e.UIDValidity = uint32(r.nzNumber(numberMax))
	default:
		r.fail("unknown correlator")
	}
}

// threadData reads THREAD (RFC 5256 §4).
func (r *reader) threadData() Response {
	var t ThreadData
	if !r.take(' ') {
		return t
	}
	count := 0
	for r.peek() == '(' && r.err == nil {
		t.Threads = append(t.Threads, r.thread(0, &count))
	}
	return t
}

// thread reads one thread with its parentheses. A message and its only answer stand side by side; several answers
// are threads.
func (r *reader) thread(depth int, count *int) ThreadNode {
	r.atMost(depth, ThreadDepthMax, "threads in threads")
	r.want('(')
	var chain []uint32
	for isDigit(r.peek()) && r.err == nil {
		chain = append(chain, uint32(r.nzNumber(numberMax)))
		*count++
		r.atMost(*count, ResponseItemsMax, "messages")
		if !r.take(' ') {
			break
		}
	}
	var branches []ThreadNode
	for r.peek() == '(' && r.err == nil {
		branches = append(branches, r.thread(depth+1, count))
	}
	r.want(')')
	if len(chain) == 0 {
		if len(branches) < 2 {
			r.fail("a thread without a message")
		}
		return ThreadNode{Children: branches}
	}
	last := len(chain) - 1
	node := ThreadNode{Number: chain[last], Children: branches}
	for _, n := range slices.Backward(chain[:last]) {
		node = ThreadNode{Number: n, Children: []ThreadNode{node}}
	}
	return node
}
