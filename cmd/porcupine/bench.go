package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"porcupine/internal/bench"
	"porcupine/internal/dev"
)

type benchesCmd struct {
	Mail benchCmd     `cmd:"" default:"withargs" help:"SMTP and POP3 sessions; every message that was acknowledged is accounted for."`
	IMAP benchIMAPCmd `cmd:"" name:"imap" help:"One kind of IMAP sessions."`
}

type benchCmd struct {
	SMTP        []string      `help:"SMTP listeners, HOST:PORT, comma separated; each session draws one." required:""`
	POP3        []string      `name:"pop3" help:"POP3 listeners, likewise." required:""`
	Pattern     string        `help:"Users' addresses, with one %d for the number." default:"u%d@example.test"`
	Users       int           `help:"How many users, from 0." default:"10"`
	PasswordEnv string        `help:"Environment variable with everybody's password; without it, that of the demo users." default:"PORCUPINE_BENCH_PASSWORD"`
	Workers     int           `short:"c" help:"Sessions at once." default:"32"`
	Duration    time.Duration `short:"d" help:"How long to load." default:"30s"`
	Sessions    int64         `short:"n" help:"Stop after so many sessions; 0: by --duration alone."`
	Seed        uint64        `help:"Of users, sizes, contents and mix." default:"1"`
	Mix         float64       `help:"Share of sessions that are SMTP." default:"0.9"`
	Zipf        float64       `help:"Exponent of the users' popularity; 0: all alike." default:"1.3"`
	TLS         string        `help:"none, starttls or implicit." default:"none" enum:"none,starttls,implicit"`
	JSON        bool          `help:"Machine-readable."`
	AllowRemote bool          `help:"Permit targets that are not loopback addresses: load only what is yours."`
}

// password gives everybody's password.
func password(variable string) string {
	if p := os.Getenv(variable); p != "" {
		return p
	}
	return dev.Password
}

// writeReport writes a report for people, or for machines.
func (e *env) writeReport(r interface{ WriteText(io.Writer) error }, asJSON bool) error {
	if !asJSON {
		return r.WriteText(e.out)
	}
	enc := json.NewEncoder(e.out)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

func (c *benchCmd) Run(e *env) error {
	cfg := bench.DefaultConfig()
	cfg.SMTP, cfg.POP3, cfg.UserPattern, cfg.Users = c.SMTP, c.POP3, c.Pattern, c.Users
	cfg.Password = password(c.PasswordEnv)
	cfg.Workers, cfg.Duration, cfg.Sessions, cfg.Seed = c.Workers, c.Duration, c.Sessions, c.Seed
	cfg.SMTPShare, cfg.Zipf, cfg.TLS, cfg.AllowRemote = c.Mix, c.Zipf, bench.TLSMode(c.TLS), c.AllowRemote
	report, err := bench.Run(e.ctx, cfg)
	if err != nil {
		fmt.Fprintln(e.errOut, "porcupine: bench:", err)
		return exitCode(bench.ExitUsage)
	}
	err = e.writeReport(report, c.JSON)
	if err == nil && !report.OK() {
		return exitCode(report.ExitStatus())
	}
	return err
}

type benchIMAPCmd struct {
	Load        string        `arg:"" help:"login, append, multiappend, fetch, select, flags, sync, headers, search-header, search-from, search-body or idle." enum:"login,append,multiappend,fetch,select,flags,sync,headers,search-header,search-from,search-body,idle"`
	IMAP        []string      `name:"imap" help:"IMAP listeners, HOST:PORT, comma separated; sessions take them in turn." required:""`
	Pattern     string        `help:"Users' addresses, with one %d for the number." default:"u%d@example.test"`
	Users       int           `help:"How many users, from 0." default:"10"`
	PasswordEnv string        `help:"Environment variable with everybody's password; without it, that of the demo users." default:"PORCUPINE_BENCH_PASSWORD"`
	Workers     int           `short:"c" help:"Sessions at once." default:"16"`
	Duration    time.Duration `short:"d" help:"How long to load." default:"10s"`
	Messages    int           `short:"m" help:"In the folder to fetch from, to select or to synchronise; it is filled first." default:"1000"`
	Size        int           `help:"Bytes of a message." default:"4700"`
	Seed        uint64        `help:"Of users and contents." default:"1"`
	Timeout     time.Duration `help:"For one step." default:"60s"`
	TLS         string        `help:"none, starttls or implicit." default:"none" enum:"none,starttls,implicit"`
	JSON        bool          `help:"Machine-readable."`
	AllowRemote bool          `help:"Permit targets that are not loopback addresses: load only what is yours."`
}

func (c *benchIMAPCmd) Run(e *env) error {
	report, err := bench.RunIMAP(e.ctx, bench.IMAPConfig{
		Addrs: c.IMAP, Load: bench.IMAPLoad(c.Load), UserPattern: c.Pattern, Users: c.Users, Password: password(c.PasswordEnv),
		Workers: c.Workers, Duration: c.Duration, Messages: c.Messages, Size: c.Size, Seed: c.Seed, Timeout: c.Timeout,
		TLS: bench.TLSMode(c.TLS), AllowRemote: c.AllowRemote,
	})
	if err != nil {
		fmt.Fprintln(e.errOut, "porcupine: bench:", err)
		return exitCode(bench.ExitUsage)
	}
	err = e.writeReport(report, c.JSON)
	if err == nil && (report.Failed > 0 || report.Done == 0) {
		return exitCode(1)
	}
	return err
}
