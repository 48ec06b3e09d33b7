package imap

import (
	"encoding/base64"
	"errors"
	"slices"
)

// id reads ID (RFC 2971 §3.3). Fields that are there twice are kept: nothing but a log reads them.
func (r *reader) id() Args {
	r.sp()
	return ID{Fields: r.idFields()}
}

func (r *reader) idFields() (fields []IDField) {
	if r.isWord("NIL") {
		return nil
	}
	r.optionalList(IDFieldsMax, "fields", func() {
		f := IDField{Name: string(r.str("the name of a field"))}
		r.sp()
		f.Value = r.nstring("the value of a field")
		if len(f.Name) > IDNameMax || len(f.Value) > IDValueMax {
			r.limit("a field of ID is too long")
		}
		fields = append(fields, f)
	})
	return fields
}

// authenticate reads AUTHENTICATE (RFC 9051 §6.2.2).
func (r *reader) authenticate() Args {
	r.sp()
	a := Authenticate{Mechanism: r.word("a SASL mechanism")}
	if !r.more() {
		return a
	}
	r.sp()
	text := r.run(func(c byte) bool { return c != ' ' })
	if string(text) == "=" {
		a.Initial = []byte{}
		return a
	}
	initial, err := DecodeSASL(text)
	if err != nil {
		r.fail(err.Error())
		return a
	}
	a.Initial = initial
	return a
}

// ErrCancelled is the error of DecodeSASL for "*": the client ends the exchange (RFC 9051 §6.2.2): BAD.
var ErrCancelled = errors.New("the exchange was cancelled")

const (
	errBase64 = problem("this is not base64")
	errLong   = problem("the response is too long")
)

// DecodeSASL decodes a line that the client sends in a SASL exchange (RFC 9051 §6.2.2): base64.
func DecodeSASL(line []byte) ([]byte, error) {
	if string(line) == "*" {
		return nil, ErrCancelled
	}
	if base64.StdEncoding.DecodedLen(len(line)) > InitialResponseMax+2 {
		return nil, errLong
	}
	if slices.ContainsFunc(line, func(c byte) bool { return c == '\r' || c == '\n' }) {
		return nil, errBase64 // the decoder would pass over them
	}
	text := make([]byte, base64.StdEncoding.DecodedLen(len(line)))
	n, err := base64.StdEncoding.Strict().Decode(text, line)
	if err != nil {
		return nil, errBase64
	}
	return text[:n], nil
}

// login reads LOGIN (RFC 9051 §6.2.3).
func (r *reader) login() Args {
	r.sp()
	l := Login{User: r.short(CredentialsMax, "a user name")}
	r.sp()
	l.Password = r.short(CredentialsMax, "a password")
	return l
}

// compress reads COMPRESS (RFC 4978 §3).
func (r *reader) compress() Args {
	r.sp()
	return Compress{Mechanism: r.word("a mechanism")}
}

// enable reads ENABLE (RFC 5161 §3.1).
func (r *reader) enable() Args {
	var e Enable
	for first := true; first || r.more(); first = false {
		r.sp()
		e.Capabilities = append(e.Capabilities, r.word("a capability"))
		r.atMost(len(e.Capabilities), CapabilitiesMax, "capabilities")
		if r.err != nil {
			break
		}
	}
	return e
}

// IsDone reports whether a line ends IDLE (RFC 2177 §3).
func IsDone(line []byte) bool { return equalFold(string(line), "DONE") }
