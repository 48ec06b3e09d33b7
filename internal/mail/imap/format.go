package imap

import (
	"encoding/base64"
	"fmt"
	"strconv"
)

// AppendCommand writes a command with its CR LF, as a client sends it, literals and all. With nonSync it does not
// wait to be asked for them (RFC 7888); otherwise the caller must stop behind each "}\r\n" until the server says
// "+". Of streamed literals it has no octets: that is an error, as is a command that no parser would accept.
func AppendCommand(dst []byte, c *Command, d Dialect, nonSync bool) ([]byte, error) {
	f := formatter{dst: dst, dialect: d}
	if nonSync {
		f.form = literalNonSync
	}
	f.raw(c.Tag).raw(" ")
	if c.UID {
		f.raw("UID ")
	}
	f.raw(string(c.Verb))
	f.arguments(c.Args)
	if f.err != nil {
		return dst, fmt.Errorf("format %s: %w", c.Verb, f.err)
	}
	return append(f.dst, "\r\n"...), nil
}

// formatter appends a command. Its first error stays.
type formatter struct {
	dst     []byte
	dialect Dialect
	form    literalForm
	err     error
}

func (f *formatter) raw(s string) *formatter {
	f.dst = append(f.dst, s...)
	return f
}

func (f *formatter) astring(s string) *formatter {
	f.dst = appendAString(f.dst, s, f.dialect, f.form)
	return f
}

func (f *formatter) folder(s string) *formatter {
	f.dst = appendFolder(f.dst, s, f.dialect, f.form)
	return f
}

// named writes the name of a folder as it was given.
func (f *formatter) named(name, given string) *formatter {
	if given != "" {
		name = given
	}
	return f.folder(name)
}

func (f *formatter) set(s NumSet) *formatter {
	f.dst = s.appendTo(f.dst)
	return f
}

func (f *formatter) number(n uint64) *formatter {
	f.dst = strconv.AppendUint(f.dst, n, 10)
	return f
}

// list writes n elements in parentheses.
func (f *formatter) list(n int, each func(i int)) *formatter {
	f.raw("(")
	for i := range n {
		if i > 0 {
			f.raw(" ")
		}
		each(i)
	}
	return f.raw(")")
}

// arguments writes arguments, each with a blank in front.
func (f *formatter) arguments(args Args) {
	switch a := args.(type) {
	case nil:
	case ID:
		f.dst = appendID(append(f.dst, ' '), a.Fields, f.dialect, f.form)
	case Authenticate:
		f.raw(" ").raw(a.Mechanism)
		if a.Initial != nil {
			f.raw(" ").raw(EncodeInitial(a.Initial))
		}
	case Login:
		f.raw(" ").astring(a.User).raw(" ").astring(a.Password)
	case Compress:
		f.raw(" ").raw(a.Mechanism)
	case Enable:
		for _, c := range a.Capabilities {
			f.raw(" ").raw(c)
		}
	case Name:
		f.raw(" ").folder(a.Folder)
	case Rename:
		f.raw(" ").folder(a.From).raw(" ").folder(a.To)
	case Select:
		f.selecting(a)
	case Create:
		f.raw(" ").named(a.Folder, a.Given)
		if len(a.Use) > 0 {
			f.raw(" (USE ").list(len(a.Use), func(i int) { f.raw(a.Use[i]) }).raw(")")
		}
	case Status:
		f.raw(" ").folder(a.Folder).raw(" ").statusItems(a.Items)
	case List:
		f.listing(a)
	default:
		f.furtherArguments(args)
	}
}

// EncodeInitial writes an initial response as AUTHENTICATE has it (RFC 4959 §3).
func EncodeInitial(response []byte) string {
	if len(response) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(response)
}

func (f *formatter) furtherArguments(args Args) {
	switch a := args.(type) {
	case Append:
		f.raw(" ").folder(a.Folder)
		for _, m := range a.Messages {
			f.message(m)
		}
	case Replace:
		f.dst = appendSeqNumber(append(f.dst, ' '), a.Number)
		f.raw(" ").folder(a.Folder).message(a.Message)
	case Expunge:
		f.raw(" ").set(a.Set)
	case Copy:
		f.raw(" ").set(a.Set).raw(" ").folder(a.Folder)
	case Store:
		f.storing(a)
	case Fetch:
		f.fetching(a)
	case Search:
		f.searching(a)
	case Sort:
		f.sorting(a)
	case Thread:
		f.raw(" ").raw(a.Algorithm).raw(" ").astring(a.Charset).raw(" ").criteria(a.Key)
	case GetQuota:
		f.raw(" ").astring(a.Root)
	case SetQuota:
		f.raw(" ").astring(a.Root).raw(" ").list(len(a.Limits), func(i int) {
			f.raw(a.Limits[i].Resource).raw(" ").number(uint64(a.Limits[i].Limit))
		})
	case GetMetadata:
		f.getMetadata(a)
	case SetMetadata:
		f.raw(" ").folder(a.Folder).raw(" ")
		f.dst = appendMetadata(f.dst, a.Values, f.dialect, f.form)
	case Notify:
		f.notify(a)
	}
}
