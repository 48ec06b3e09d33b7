package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"porcupine/internal/bench"
	"porcupine/internal/dev"
)

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

func (c *benchCmd) Run(e *env) error {
	cfg := bench.DefaultConfig()
	cfg.SMTP, cfg.POP3, cfg.UserPattern, cfg.Users = c.SMTP, c.POP3, c.Pattern, c.Users
	cfg.Password = os.Getenv(c.PasswordEnv)
	if cfg.Password == "" {
		cfg.Password = dev.Password
	}
	cfg.Workers, cfg.Duration, cfg.Sessions, cfg.Seed = c.Workers, c.Duration, c.Sessions, c.Seed
	cfg.SMTPShare, cfg.Zipf, cfg.TLS, cfg.AllowRemote = c.Mix, c.Zipf, bench.TLSMode(c.TLS), c.AllowRemote
	report, err := bench.Run(e.ctx, cfg)
	if err != nil {
		fmt.Fprintln(e.errOut, "porcupine: bench:", err)
		return exitCode(bench.ExitUsage)
	}
	if c.JSON {
		enc := json.NewEncoder(e.out)
		enc.SetIndent("", "  ")
		err = enc.Encode(report)
	} else {
		err = report.WriteText(e.out)
	}
	if err == nil && !report.OK() {
		return exitCode(report.ExitStatus())
	}
	return err
}
