package imap

// command parses a command (RFC 9051 §9, command).
func (r *reader) command(c *Command) {
	if r.err != nil {
		return
	}
	c.Tag, c.Verb, c.UID = r.opening()
	if r.err != nil {
		return
	}
	f := r.family(c)
	if !f.known {
		r.fail("unknown command")
		return
	}
	if f.parse != nil {
		c.Args = f.parse()
	}
	r.end()
}

// opening reads the tag, "UID" and the verb.
func (r *reader) opening() (tag string, verb Verb, uid bool) {
	t := r.run(isTagChar)
	switch {
	case len(t) > TagLengthMax:
		r.limit("the tag is too long")
		return "", "", false
	case len(t) == 0:
		r.fail("expected a tag" + r.seen())
		return "", "", false
	}
	tag = string(t)
	if !r.take(' ') {
		r.fail("expected a blank and a command" + r.seen())
		return tag, "", false
	}
	word := r.run(isAtomChar)
	if uid = equalFold(string(word), "UID"); uid && r.take(' ') {
		word = r.run(isAtomChar)
	}
	if len(word) == 0 {
		r.fail("expected a command" + r.seen())
		return tag, "", false
	}
	if len(word) > verbLengthMax {
		r.fail("unknown command")
		return tag, "", false
	}
	return tag, Verb(upper(string(word))), uid
}

// verbLengthMax is more octets than any verb has.
const verbLengthMax = 32

// family is what reads the arguments of a command; nil for those that have none.
type family struct {
	parse func() Args
	known bool
}

// family finds it.
func (r *reader) family(c *Command) family {
	if c.UID {
		parse := r.uidFamily(c)
		return family{parse, parse != nil}
	}
	switch c.Verb {
	case VerbCapability, VerbNoop, VerbLogout, VerbStartTLS, VerbUnauthenticate, VerbNamespace, VerbIdle, VerbCheck, VerbClose,
		VerbUnselect, VerbExpunge:
		return family{nil, true}
	case VerbID:
		return family{r.id, true}
	case VerbAuthenticate:
		return family{r.authenticate, true}
	case VerbLogin:
		return family{r.login, true}
	case VerbCompress:
		return family{r.compress, true}
	case VerbEnable:
		return family{r.enable, true}
	case VerbSelect, VerbExamine:
		return family{r.selecting, true}
	case VerbCreate:
		return family{r.create, true}
	case VerbDelete, VerbSubscribe, VerbUnsubscribe, VerbGetQuotaRoot:
		return family{r.name, true}
	case VerbRename:
		return family{r.rename, true}
	case VerbList:
		return family{r.listing, true}
	case VerbLsub:
		return family{r.lsub, true}
	case VerbStatus:
		return family{r.status, true}
	case VerbAppend:
		return family{r.appending, true}
	case VerbGetQuota:
		return family{r.getQuota, true}
	case VerbSetQuota:
		return family{r.setQuota, true}
	case VerbGetMetadata:
		return family{r.getMetadata, true}
	case VerbSetMetadata:
		return family{r.setMetadata, true}
	case VerbNotify:
		return family{r.notify, true}
	}
	parse := r.messageFamily(c)
	return family{parse, parse != nil}
}

// uidFamily is family for commands with UID in front (RFC 9051 §6.4.9, RFC 4315, RFC 5256, RFC 8508, RFC 7377).
func (r *reader) uidFamily(c *Command) func() Args {
	if c.Verb == VerbExpunge {
		return func() Args { r.sp(); return Expunge{Set: r.set()} }
	}
	return r.messageFamily(c)
}

// messageFamily is family for commands that exist with and without UID.
func (r *reader) messageFamily(c *Command) func() Args {
	switch c.Verb {
	case VerbReplace:
		return r.replace
	case VerbSearch:
		return func() Args { return r.searching(false) }
	case VerbESearch:
		return func() Args { return r.searching(true) }
	case VerbSort:
		return r.sorting
	case VerbThread:
		return r.threading
	case VerbFetch:
		return r.fetching
	case VerbStore:
		return r.storing
	case VerbCopy, VerbMove:
		return r.copying
	}
	return nil
}
