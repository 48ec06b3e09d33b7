package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"porcupine/internal/cluster"
)

// Limits of what one request brings in.
const (
	// AppendMax is how many messages it has at most.
	AppendMax = 64
	// transferHeadMax bounds the line before a message's contents, in octets.
	transferHeadMax = 64 << 10
)

// MailFolder is a folder of a user.
type MailFolder struct {
	Name       string `json:"name"` // as UTF-8, with '/' between the levels
	Use        string `json:"use,omitempty"`
	Subscribed bool   `json:"subscribed,omitempty"`
}

// MailHead is what is said of a message before its contents.
type MailHead struct {
	UID      uint32    `json:"uid,omitempty"`   // only on the way out
	Email    string    `json:"email,omitempty"` // EMAILID, 32 hexadecimal digits
	Flags    []string  `json:"flags,omitempty"`
	Received time.Time `json:"received"`
	Size     int64     `json:"size"` // octets of contents that follow
	// Error says why the contents cannot be read. Size is 0 then.
	Error string `json:"error,omitempty"`
}

// Incoming is a message on its way in. Contents has Size octets and is valid until the next one is asked for.
type Incoming struct {
	MailHead
	Contents io.Reader
}

// Transfer is what the socket needs to bring mail in and out.
type Transfer interface {
	Folders(ctx context.Context, address string) ([]MailFolder, error)
	// MakeFolder makes a folder, and what is missing above it, unless it is there, and subscribes the user to it if told.
	MakeFolder(ctx context.Context, address string, f MailFolder) error
	// Emails yields the Email ids of all messages of the user, in all folders.
	Emails(ctx context.Context, address string, yield func(id string) error) error
	// BeginImport gives the number of the user's import from a source: of the one that was begun and not ended, else of a new
	// one, which is durable BEFORE it is given.
	BeginImport(ctx context.Context, address, source string) (number string, err error)
	// EndImport says that an import is complete: the next one from that source is a new one.
	EndImport(ctx context.Context, address, source string) error
	// Append stores the messages that next gives, up to io.EOF, in a folder, as of the import of that number. Those that it stores
	// stay, also if it fails; stored again, for the same import, they are there once.
	Append(ctx context.Context, address, number, folder string, next func() (Incoming, error)) error
	// Export yields the messages of a folder whose UIDs are above after, ascending. contents is nil if head.Error is not empty.
	Export(ctx context.Context, address, folder string, after uint32, yield func(head MailHead, contents io.Reader) error) error
}

func (s *Server) transfer(mux *http.ServeMux) {
	mux.HandleFunc("GET /transfer/folders", s.answer(func(ctx context.Context, r *http.Request) (any, error) {
		return s.Transfer.Folders(ctx, r.FormValue("address"))
	}))
	mux.HandleFunc("POST /transfer/folder", s.answer(func(ctx context.Context, r *http.Request) (any, error) {
		var f MailFolder
		if err := decode(r, &f); err != nil {
			return nil, err
		}
		s.awaitReady(ctx)
		return struct{}{}, s.Transfer.MakeFolder(ctx, r.FormValue("address"), f)
	}))
	mux.HandleFunc("POST /transfer/begin", s.answer(func(ctx context.Context, r *http.Request) (any, error) {
		s.awaitReady(ctx)
		number, err := s.Transfer.BeginImport(ctx, r.FormValue("address"), r.FormValue("source"))
		return importNumber{number}, err
	}))
	mux.HandleFunc("POST /transfer/end", s.answer(func(ctx context.Context, r *http.Request) (any, error) {
		return struct{}{}, s.Transfer.EndImport(ctx, r.FormValue("address"), r.FormValue("source"))
	}))
	mux.HandleFunc("POST /transfer/append", s.answer(s.append))
	mux.HandleFunc("GET /transfer/emails", s.emails)
	mux.HandleFunc("GET /transfer/export", s.export)
}

// importNumber is the answer to the beginning of an import.
type importNumber struct {
	Number string `json:"number"`
}

// append reads messages, each a line and its contents.
func (s *Server) append(ctx context.Context, r *http.Request) (any, error) {
	address, number, folder := r.FormValue("address"), r.FormValue("number"), r.FormValue("folder")
	in := bufio.NewReaderSize(r.Body, transferHeadMax)
	var contents *io.LimitedReader
	count := 0
	next := func() (Incoming, error) {
		if contents != nil && contents.N > 0 {
			return Incoming{}, cluster.Errorf(cluster.KindInvalid, "append mail", "%w", io.ErrUnexpectedEOF)
		}
		h, err := readHead(in)
		if err != nil || h.end {
			return Incoming{}, errors.Join(err, h.ended())
		}
		if count++; count > AppendMax {
			return Incoming{}, cluster.Errorf(cluster.KindLimit, "append mail", "more than %d messages at once", AppendMax)
		}
		contents = &io.LimitedReader{R: in, N: h.Size}
		return Incoming{MailHead: h.MailHead, Contents: contents}, nil
	}
	if err := s.Transfer.Append(ctx, address, number, folder, next); err != nil {
		return nil, err
	}
	s.Logger.Debug("messages imported", "user", address, "count", count)
	return struct{}{}, nil
}

// headLine is a line on the way: a message's head, or how the list ended.
type headLine struct {
	MailHead
	end bool
}

// ended gives the end of a list as an error.
func (h headLine) ended() error {
	if h.end {
		return io.EOF
	}
	return nil
}

// tail is the last line of a list: one without it was cut off.
type tail struct {
	End  bool         `json:"end"`
	Kind cluster.Kind `json:"kind,omitempty"`
	Fail string       `json:"fail,omitempty"`
}

func readHead(in *bufio.Reader) (h headLine, err error) {
	const op = "read message"
	line, err := in.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return h, cluster.Errorf(cluster.KindInvalid, op, "its first line: %w", err)
	}
	var both struct {
		MailHead
		tail
	}
	if err := json.Unmarshal(line, &both); err != nil {
		return h, cluster.Errorf(cluster.KindInvalid, op, "its first line: %w", err)
	}
	h.MailHead, h.end = both.MailHead, both.End
	switch {
	case both.Fail != "":
		return h, &cluster.Error{Kind: both.Kind, Op: "node", Err: errors.New(both.Fail)}
	case h.Size < 0 || h.Size > cluster.ObjectSizeMax:
		return h, cluster.Errorf(cluster.KindInvalid, op, "%d octets", h.Size)
	}
	return h, nil
}

// emails streams one id a line, and then the tail.
func (s *Server) emails(w http.ResponseWriter, r *http.Request) {
	out := bufio.NewWriter(w)
	err := s.Transfer.Emails(r.Context(), r.FormValue("address"), func(id string) error {
		_, err := fmt.Fprintf(out, "{\"email\":%q}\n", id)
		return err
	})
	s.end(out, r, err)
}

func (s *Server) export(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseUint(r.FormValue("after"), 10, 32)
	if err != nil {
		s.fail(w, r, cluster.Errorf(cluster.KindInvalid, "export mail", "after: %w", err))
		return
	}
	out := bufio.NewWriterSize(w, transferHeadMax)
	cut := false
	err = s.Transfer.Export(r.Context(), r.FormValue("address"), r.FormValue("folder"), uint32(after), func(h MailHead, contents io.Reader) error {
		line, err := json.Marshal(h)
		if err != nil {
			return err
		}
		if _, err := out.Write(append(line, '\n')); err != nil || contents == nil {
			return err
		}
		if n, err := io.Copy(out, io.LimitReader(contents, h.Size)); err != nil || n != h.Size {
			s.Logger.Warn("export: a message ended early", "user", r.FormValue("address"), "uid", h.UID, "octets", n, "err", err)
			cut = true
			return errors.Join(err, io.ErrUnexpectedEOF)
		}
		return nil
	})
	if cut {
		panic(http.ErrAbortHandler) // the head of the last message promised more
	}
	s.end(out, r, err)
}

// end writes the tail.
func (s *Server) end(out *bufio.Writer, r *http.Request, err error) {
	t := tail{End: true}
	if err != nil {
		t.Kind, t.Fail = cluster.KindOf(err), err.Error()
	}
	if err := errors.Join(json.NewEncoder(out).Encode(t), out.Flush()); err != nil {
		s.Logger.Debug("admin answer not delivered", "path", r.URL.Path, "err", err)
	}
}
