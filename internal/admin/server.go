package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"

	"porcupine/internal/cluster"
)

// Server answers on the admin socket.
type Server struct {
	Directory Directory
	Cluster   Cluster
	Store     Store
	Keeper    Keeper
	Archive   Archive
	Vault     Vault
	Transfer  Transfer
	Logger    *slog.Logger
	// Timeout bounds one command other than verify and dump.
	Timeout time.Duration
}

// request is the body of a command that changes something.
type request struct {
	Address  string      `json:"address,omitempty"`
	Addrs    []string    `json:"addresses,omitempty"`
	Password string      `json:"password,omitempty"`
	Targets  []string    `json:"targets,omitempty"`
	User     *UserChange `json:"user,omitempty"`
	Domain   *Domain     `json:"domain,omitempty"`
	// FewerCopies permits to remove a node though fewer are left than copies are wanted.
	FewerCopies bool `json:"fewer_copies,omitempty"`
}

// object is what a request is about, for the log.
func (r *request) object() string {
	switch {
	case r.Domain != nil:
		return r.Domain.Domain
	case len(r.Addrs) > 0:
		return fmt.Sprintf("%s and %d more", r.Addrs[0], len(r.Addrs)-1)
	}
	return r.Address
}

type token struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

type failure struct {
	Kind  cluster.Kind `json:"kind"`
	Error string       `json:"error"`
}

// Handler gives the HTTP handler of the socket.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	get := func(path string, f func(context.Context, *http.Request) (any, error)) {
		mux.HandleFunc("GET "+path, s.answer(f))
	}
	get("/status", func(ctx context.Context, _ *http.Request) (any, error) { return s.Cluster.Status(ctx) })
	mux.HandleFunc("POST /token", s.answer(func(ctx context.Context, _ *http.Request) (any, error) {
		text, expires, err := s.Cluster.NewToken(ctx) // who makes it logs it
		if err != nil {
			s.Logger.Info("admin command refused", "path", "/token", "err", err)
		}
		return token{text, expires}, err
	}))
	get("/users", list(s.Directory.ListUsers))
	get("/domains", list(s.Directory.ListDomains))
	get("/aliases", list(s.Directory.ListAliases))
	for path, f := range s.changes() {
		mux.HandleFunc("POST "+path, s.answer(s.change(path, f)))
	}
	s.keep(mux)
	s.transfer(mux)
	mux.HandleFunc("GET /store/verify", s.verify)
	mux.HandleFunc("GET /store/dump", s.dump)
	mux.HandleFunc("GET /store/checkpoint", s.checkpoint)
	get("/archive/has", s.has)
	get("/users/show", s.showUser)
	get("/vault", s.listDeleted)
	mux.HandleFunc("POST /vault/restore", s.answer(s.restoreDeleted))
	mux.HandleFunc("POST /archive/put", s.answer(s.putObject))
	// Profiles of the running node, for those who may open the socket:
	// curl --unix-socket admin.sock http://node/debug/pprof/profile?seconds=10
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// changes are the commands that change something, by their paths.
func (s *Server) changes() map[string]func(context.Context, *request) error {
	d := s.Directory
	return map[string]func(context.Context, *request) error{
		"/users/add": func(ctx context.Context, r *request) error { return d.AddUser(ctx, r.Address, r.Password) },
		"/users/add-many": func(ctx context.Context, r *request) error {
			if len(r.Addrs) > AddUsersMax {
				return cluster.Errorf(cluster.KindLimit, "add users", "%d at once, at most %d", len(r.Addrs), AddUsersMax)
			}
			return d.AddUsers(ctx, r.Addrs, r.Password)
		},
		"/users/passwd": func(ctx context.Context, r *request) error { return d.SetPassword(ctx, r.Address, r.Password) },
		"/users/edit": func(ctx context.Context, r *request) error {
			if r.User == nil {
				return cluster.Errorf(cluster.KindInvalid, "change user "+r.Address, "the request says not what to change")
			}
			return d.EditUser(ctx, r.Address, *r.User)
		},
		"/users/remove":   func(ctx context.Context, r *request) error { return d.RemoveUser(ctx, r.Address) },
		"/domains/add":    withDomain(d.AddDomain),
		"/domains/set":    withDomain(d.SetDomain),
		"/domains/remove": withDomain(func(ctx context.Context, x Domain) error { return d.RemoveDomain(ctx, x.Domain) }),
		"/nodes/remove": func(ctx context.Context, r *request) error {
			id, err := cluster.ParseNodeID(r.Address)
			if err != nil {
				return cluster.Errorf(cluster.KindInvalid, "remove node", "%w ('porcupine node list' shows them)", err)
			}
			return s.Cluster.Forget(ctx, id, r.FewerCopies)
		},
		"/aliases/add":    func(ctx context.Context, r *request) error { return d.AddAlias(ctx, r.Address, r.Targets) },
		"/aliases/remove": func(ctx context.Context, r *request) error { return d.RemoveAlias(ctx, r.Address) },
	}
}

func withDomain(f func(context.Context, Domain) error) func(context.Context, *request) error {
	return func(ctx context.Context, r *request) error {
		if r.Domain == nil {
			return cluster.Errorf(cluster.KindInvalid, "change domain", "the request names no domain")
		}
		return f(ctx, *r.Domain)
	}
}

// change carries out a command and logs who or what it was about, never a password.
func (s *Server) change(path string, f func(context.Context, *request) error) func(context.Context, *http.Request) (any, error) {
	return func(ctx context.Context, r *http.Request) (any, error) {
		var q request
		if err := decode(r, &q); err != nil {
			return nil, err
		}
		s.awaitReady(ctx)
		err := f(ctx, &q)
		if err != nil {
			s.Logger.Info("admin command refused", "path", path, "object", q.object(), "err", err)
		} else {
			s.Logger.Info("admin command", "path", path, "object", q.object())
		}
		return struct{}{}, err
	}
}

// How long a change waits for a node that is not ready: one that has just started does not know yet
// which names are free.
const (
	readyWaitMax = 5 * time.Second
	readyPoll    = 20 * time.Millisecond
)

// awaitReady waits a little for the node to be ready. When it is not, the command is tried all the
// same, and says itself what is missing.
func (s *Server) awaitReady(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readyWaitMax)
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for s.Cluster.Ready() != nil {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// list makes a handler of a paged list: ?after=NAME&limit=N.
func list[T any](f func(context.Context, string, int) ([]T, error)) func(context.Context, *http.Request) (any, error) {
	return func(ctx context.Context, r *http.Request) (any, error) {
		limit, err := strconv.Atoi(cmp.Or(r.FormValue("limit"), strconv.Itoa(PageMax)))
		if err != nil || limit < 1 || limit > PageMax {
			return nil, cluster.Errorf(cluster.KindInvalid, "admin request "+r.URL.Path, "limit %q: write a number from 1 to %d", r.FormValue("limit"), PageMax)
		}
		items, err := f(ctx, r.FormValue("after"), limit)
		if items == nil {
			items = []T{}
		}
		return items, err
	}
}

// decode reads one JSON value, strictly: a field that this version does not know is an error, so
// that a newer command does not half happen.
func decode(r *http.Request, into any) error {
	op := "admin request " + r.URL.Path
	dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, BodyMax))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.New("there is more after the request")
	}
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return cluster.Errorf(cluster.KindLimit, op, "more than %d bytes", large.Limit)
	}
	return cluster.Errorf(cluster.KindInvalid, op, "%w", err)
}

func (s *Server) answer(f func(context.Context, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), s.Timeout)
		defer cancel()
		result, err := f(ctx, r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		s.send(w, r, http.StatusOK, result)
	}
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if cluster.IsKind(err, cluster.KindInternal) {
		s.Logger.Error("admin command failed", "path", r.URL.Path, "err", err)
	}
	s.send(w, r, httpStatus(err), failure{cluster.KindOf(err), err.Error()})
}

func (s *Server) send(w http.ResponseWriter, r *http.Request, code int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		s.Logger.Debug("admin answer not delivered", "path", r.URL.Path, "err", err)
	}
}

func httpStatus(err error) int {
	switch cluster.KindOf(err) {
	case cluster.KindNotFound:
		return http.StatusNotFound
	case cluster.KindInvalid:
		return http.StatusBadRequest
	case cluster.KindExists:
		return http.StatusConflict
	case cluster.KindDenied:
		return http.StatusForbidden
	case cluster.KindInternal, cluster.KindCorrupt:
		return http.StatusInternalServerError
	}
	return http.StatusServiceUnavailable
}

// The beginnings of the last line of verify's answer.
const (
	verifyOK     = "ok: "
	verifyFailed = "failed: "
)

// verify streams one line a fault, then as the last line how it ended: an answer without that line
// was cut off.
func (s *Server) verify(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	faults := 0
	err := s.Store.Verify(ctx, func(fault string) {
		faults++
		if _, err := fmt.Fprintln(w, oneLine(fault)); err != nil {
			cancel(fmt.Errorf("the client went away: %w", err))
		}
	})
	last := fmt.Sprintf("%s%d faults", verifyOK, faults)
	if err != nil {
		s.Logger.Warn("verify stopped", "faults", faults, "err", errors.Join(err, context.Cause(ctx)))
		last = verifyFailed + oneLine(err.Error())
	}
	if _, err := fmt.Fprintln(w, last); err != nil {
		s.Logger.Debug("verify: answer not delivered", "err", err)
	}
}

// oneLine keeps what a fault says of damaged data from looking like several lines.
func oneLine(s string) string { return strings.NewReplacer("\r", " ", "\n", " ").Replace(s) }

func (s *Server) dump(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/jsonl; charset=utf-8")
	out := &started{w: w}
	err := s.Store.Dump(r.Context(), out)
	if err == nil {
		return
	}
	s.Logger.Warn("dump stopped", "err", err)
	if out.yes {
		panic(http.ErrAbortHandler) // the client must not take a part for the whole
	}
	s.fail(w, r, err)
}

// started is a writer that knows whether anything was written.
type started struct {
	w   io.Writer
	yes bool
}

func (s *started) Write(p []byte) (int, error) {
	s.yes = true
	return s.w.Write(p)
}
