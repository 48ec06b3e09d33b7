package imap

// envelope reads an ENVELOPE (RFC 9051 §9, envelope).
func (r *reader) envelope() *Envelope {
	e := &Envelope{}
	r.want('(')
	e.Date = r.nstring("a date")
	r.sp()
	e.Subject = r.nstring("a subject")
	for _, list := range [...]*[]EnvelopeAddress{&e.From, &e.Sender, &e.ReplyTo, &e.To, &e.Cc, &e.Bcc} {
		r.sp()
		*list = r.addresses()
	}
	r.sp()
	e.InReplyTo = r.nstring("In-Reply-To")
	r.sp()
	e.MessageID = r.nstring("Message-ID")
	r.want(')')
	return e
}

func (r *reader) addresses() (list []EnvelopeAddress) {
	if r.isWord("NIL") {
		return nil
	}
	r.want('(')
	for r.err == nil {
		var a EnvelopeAddress
		r.want('(')
		a.Name = r.nstring("a name")
		r.sp()
		a.Route = r.nstring("a route")
		r.sp()
		a.Mailbox = r.nstring("a mailbox")
		r.sp()
		a.Host = r.nstring("a host")
		r.want(')')
		list = append(list, a)
		r.atMost(len(list), ResponseItemsMax, "addresses")
		if r.take(')') {
			break
		}
		r.take(' ') // some servers put a blank there
	}
	return list
}

// structure reads a BODYSTRUCTURE or BODY (RFC 9051 §9, body).
func (r *reader) structure(depth int) *BodyStructure {
	r.atMost(depth, StructureDepthMax, "parts in parts")
	b := &BodyStructure{}
	r.want('(')
	if r.peek() == '(' {
		for r.peek() == '(' && r.err == nil {
			b.Parts = append(b.Parts, r.structure(depth+1))
			r.take(' ')
		}
		b.Subtype = string(r.str("a subtype"))
		if r.take(' ') {
			b.Params = r.params()
			r.behind(b)
		}
	} else {
		r.single(b, depth)
	}
	r.want(')')
	if r.err != nil {
		return nil
	}
	return b
}

// single reads what a part that is not a multipart has.
func (r *reader) single(b *BodyStructure, depth int) {
	b.Type = string(r.str("a type"))
	r.sp()
	b.Subtype = string(r.str("a subtype"))
	r.sp()
	b.Params = r.params()
	r.sp()
	b.ID = r.nstring("an id")
	r.sp()
	b.Description = r.nstring("a description")
	r.sp()
	b.Encoding = string(r.nstring("an encoding"))
	r.sp()
	b.Size = r.number(number64Max)
	line := r.line()
	if b.isMessage() && r.peek() == ' ' && r.pos+1 < len(line) && line[r.pos+1] == '(' { // some servers leave it out
		r.sp()
		b.Envelope = r.envelope()
		r.sp()
		b.Message = r.structure(depth + 1)
		r.sp()
		b.Lines = r.number(number64Max)
	} else if equalFold(b.Type, "TEXT") {
		r.sp()
		b.Lines = r.number(number64Max)
	}
	if r.take(' ') {
		b.MD5 = r.nstring("an MD5")
		r.behind(b)
	}
}

// behind reads the extension data that single parts and multiparts have at the end, as far as it is there.
func (r *reader) behind(b *BodyStructure) {
	if !r.take(' ') {
		return
	}
	if !r.isWord("NIL") {
		r.want('(')
		b.Disposition = &Disposition{Type: string(r.str("a disposition"))}
		r.sp()
		b.Disposition.Params = r.params()
		r.want(')')
	}
	if !r.take(' ') {
		return
	}
	switch {
	case r.isWord("NIL"):
	case r.peek() == '(':
		r.list(ResponseItemsMax, "languages", func() { b.Language = append(b.Language, string(r.str("a language"))) })
	default:
		b.Language = []string{string(r.str("a language"))}
	}
	if r.take(' ') {
		b.Location = r.nstring("a location")
	}
}

func (r *reader) params() (params []Param) {
	if r.isWord("NIL") {
		return nil
	}
	r.list(ResponseItemsMax, "parameters", func() {
		p := Param{Name: string(r.str("a name"))}
		r.sp()
		p.Value = string(r.str("a value"))
		params = append(params, p)
	})
	return params
}
