package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"porcupine/internal/cluster"
)

// Server answers on the admin socket.
type Server struct {
	Directory Directory
	Cluster   Cluster
	Store     Store
	Logger    *slog.Logger
	// Timeout bounds one command other than verify and dump.
	Timeout time.Duration
}

type address struct {
	Address  string   `json:"address,omitempty"`
	Addrs    []string `json:"addresses,omitempty"`
	Password string   `json:"password,omitempty"`
	Targets  []string `json:"targets,omitempty"`
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
	change := func(path string, f func(context.Context, address) error) {
		mux.HandleFunc("POST "+path, s.answer(func(ctx context.Context, r *http.Request) (any, error) {
			var a address
			if err := decode(r, &a); err != nil {
				return nil, err
			}
			return struct{}{}, f(ctx, a)
		}))
	}
	d := s.Directory
	get("/status", func(ctx context.Context, _ *http.Request) (any, error) { return s.Cluster.Status(ctx) })
	mux.HandleFunc("POST /token", s.answer(func(ctx context.Context, _ *http.Request) (any, error) {
		text, expires, err := s.Cluster.NewToken(ctx)
		return token{text, expires}, err
	}))
	get("/users", list(d.ListUsers))
	change("/users/add", func(ctx context.Context, a address) error { return d.AddUser(ctx, a.Address, a.Password) })
	change("/users/add-many", func(ctx context.Context, a address) error {
		if len(a.Addrs) > AddUsersMax {
			return cluster.Errorf(cluster.KindLimit, "add users", "%d at once, at most %d", len(a.Addrs), AddUsersMax)
		}
		return d.AddUsers(ctx, a.Addrs, a.Password)
	})
	change("/users/passwd", func(ctx context.Context, a address) error { return d.SetPassword(ctx, a.Address, a.Password) })
	change("/users/remove", func(ctx context.Context, a address) error { return d.RemoveUser(ctx, a.Address) })
	get("/domains", list(d.ListDomains))
	change("/domains/add", func(ctx context.Context, a address) error { return d.AddDomain(ctx, a.Address) })
	change("/domains/remove", func(ctx context.Context, a address) error { return d.RemoveDomain(ctx, a.Address) })
	get("/aliases", list(d.ListAliases))
	change("/aliases/add", func(ctx context.Context, a address) error { return d.AddAlias(ctx, a.Address, a.Targets) })
	change("/aliases/remove", func(ctx context.Context, a address) error { return d.RemoveAlias(ctx, a.Address) })
	// Profiles of the running node, for those who may open the socket:
	// curl --unix-socket admin.sock http://node/debug/pprof/profile?seconds=10
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /store/verify", s.verify)
	mux.HandleFunc("GET /store/dump", s.dump)
	return mux
}

// list makes a handler of a paged list: ?after=NAME&limit=N.
func list[T any](f func(context.Context, string, int) ([]T, error)) func(context.Context, *http.Request) (any, error) {
	return func(ctx context.Context, r *http.Request) (any, error) {
		limit, err := strconv.Atoi(r.FormValue("limit"))
		if err != nil || limit < 1 || limit > PageMax {
			limit = PageMax
		}
		items, err := f(ctx, r.FormValue("after"), limit)
		if items == nil {
			items = []T{}
		}
		return items, err
	}
}

func decode(r *http.Request, into any) error {
	dec := json.NewDecoder(io.LimitReader(r.Body, BodyMax))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return cluster.Errorf(cluster.KindInvalid, "admin request "+r.URL.Path, "%w", err)
	}
	return nil
}

func (s *Server) answer(f func(context.Context, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), s.Timeout)
		defer cancel()
		result, err := f(ctx, r)
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			if cluster.IsKind(err, cluster.KindInternal) {
				s.Logger.Error("admin command failed", "path", r.URL.Path, "err", err)
			}
			w.WriteHeader(httpStatus(err))
			result = failure{cluster.KindOf(err), err.Error()}
		}
		if err := json.NewEncoder(w).Encode(result); err != nil {
			s.Logger.Debug("admin answer not delivered", "path", r.URL.Path, "err", err)
		}
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

// verify streams one line a fault, then "ok N faults" or "failed: ..." as the last line.
func (s *Server) verify(w http.ResponseWriter, r *http.Request) {
	faults := 0
	var lost error // the client went away
	err := s.Store.Verify(r.Context(), func(fault string) {
		faults++
		if _, e := fmt.Fprintln(w, fault); e != nil {
			lost = errors.Join(lost, e)
		}
	})
	last := fmt.Sprintf("ok %d faults", faults)
	if err = errors.Join(err, lost); err != nil {
		last = "failed: " + err.Error()
	}
	if _, e := fmt.Fprintln(w, last); e != nil {
		s.Logger.Debug("verify: answer not delivered", "err", e)
	}
}

func (s *Server) dump(w http.ResponseWriter, r *http.Request) {
	if err := s.Store.Dump(r.Context(), w); err != nil {
		s.Logger.Warn("dump stopped", "err", err)
		panic(http.ErrAbortHandler) // the client must not take a part for the whole
	}
}
