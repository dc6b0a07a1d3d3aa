package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	exporter "github.com/prometheus/exporter-toolkit/web"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v2"
	"golang.org/x/net/netutil"

	"bouncelog/bounce"
	"bouncelog/internal/metrics"
	"bouncelog/internal/table"
	"bouncelog/internal/when"
	"bouncelog/judge"
	"bouncelog/store"
	"bouncelog/store/sqlite"
	"bouncelog/web"
)

// defaultSocket is where the dashboard listens.
const defaultSocket = "unix:/run/bouncelog/web.sock"

// Limits of the connections of the dashboard. A page has limits of its own (package web).
const (
	connectionsAtMost = 512
	headerTime        = 5 * time.Second
	requestTime       = 10 * time.Second
	writeTime         = time.Minute     // longer than the answer to a request may take
	idleTime          = 2 * time.Minute // of a connection between two requests
	shutdownTime      = 5 * time.Second
)

func newServe() *cobra.Command {
	var (
		in    input
		flag  thresholds
		serve serving
	)
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the dashboard",
		Long: `Serves the dashboard: a verdict first, then the providers that refuse mail, queued
mail, changes, traces of addresses and messages, and the coverage of the logs. It only
reads the database, also while 'bouncelog follow' writes to it.

It listens on a unix socket (mode 0660), or on the sockets that systemd passes to it.
'ssh -L 9155:/run/bouncelog/web.sock HOST' forwards it to http://localhost:9155.

On the loopback interface (--listen :9155) it prints an address with a token at its
start: other users of the host must not read mail addresses. With --web-config (a web
configuration file of Prometheus), the users in that file log in instead. On any other
address it starts only if that file has TLS and users or client certificates.`,
		Example: `  bouncelog serve --listen :9155
  bouncelog serve --listen unix:/run/bouncelog/web.sock --host mail.example.com
  bouncelog serve link --sender-domain shop.example --for 7d`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageErrorf("'bouncelog serve --help' lists the options", "serve: too many arguments: %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return serve.run(cmd, &in, &flag) },
	}
	in.rulesFlag(cmd)
	cmd.Flags().StringVar(&in.tz, "tz", "", "time zone of the pages (default: this machine's)")
	flag.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&serve.listen, "listen", defaultSocket, "listen on `ADDRESS`: unix:/path, or HOST:PORT; :9155 is the loopback interface only")
	f.StringVar(&serve.config, "web-config", "", "a `FILE` with TLS and users (prometheus.io: web configuration)")
	f.StringSliceVar(&serve.hosts, "host", nil, "accept requests for the host `NAME` too, such as that of a proxy; without it, only for localhost")
	f.StringVar(&serve.period, "period", "24h", "period of pages that name none: 24h, 7d, all, or a period as of --day (yesterday, 2026-11-22)")
	f.StringVar(&serve.key, "link-key", "", "the `FILE` with the key that links are signed with (see 'bouncelog serve link')")
	cmd.AddCommand(newServeLink())
	groupUsage(cmd, serveGroups)
	return cmd
}

var serveGroups = []flagGroup{
	{title: "Dashboard", flags: []string{"listen", "web-config", "host", "period", "tz", "db"}},
	{title: "Links for one sender domain: 'bouncelog serve link --help'", flags: []string{"link-key"}},
	{title: "More, explained in bouncelog-serve(1)", named: []string{
		"logs:       --rules, --config",
		"thresholds: --problem-{recipients,messages,share,chance,window,past,valid}",
	}},
}

// serving is how the dashboard is served.
type serving struct {
	listen, config, period, key string
	hosts                       []string
}

func (x *serving) run(cmd *cobra.Command, in *input, flag *thresholds) error {
	stepBack()
	ctx, log := cmd.Context(), newLogger(cmd.ErrOrStderr())
	if err := flag.check(); err != nil {
		return err
	}
	loc, err := in.location()
	if err != nil {
		return err
	}
	rules, err := in.judge()
	if err != nil {
		return err
	}
	var key []byte
	if x.key != "" {
		if key, err = readKey(x.key); err != nil {
			return err
		}
	}
	listeners, err := x.listeners()
	if err != nil {
		return err
	}
	defer func() {
		for _, l := range listeners {
			l.Close()
		}
	}()
	token, err := x.token(listeners)
	if err != nil {
		return err
	}
	path, _ := cmd.Flags().GetString("db")
	db := &readable{path: path, open: func(ctx context.Context) (store.Store, error) {
		return openDatabaseUnder(ctx, cmd, path, sqlite.Options{ReadOnly: true})
	}}
	defer db.close()
	e := &explainer{judge: rules}
	explain := func(text string) (*bounce.Delivery, judge.Explanation, error) {
		q, err := e.read(text)
		if err != nil {
			return nil, judge.Explanation{}, err
		}
		d, x := e.explain(q)
		return d, x, nil
	}
	site, err := web.New(web.Options{
		Read: db.read, Watch: db.watch, Explain: explain, Judge: rules, Location: loc, Period: x.period, Thresholds: flag.options(),
		Hosts: x.hosts, Token: token, Key: key, Log: log,
	})
	if err != nil {
		return usageErrorf("as in --period 24h, 7d, all, yesterday or 2026-11-22", "%w", err)
	}
	defer site.Close()
	go site.Warm(ctx) // what goes wrong the first reader sees
	return x.serveSite(cmd, site, listeners, token, log)
}

// token returns a new token if a listener needs one, otherwise "". A token and a listener without
// any protection cannot be served together.
func (x *serving) token(listeners []net.Listener) (token string, err error) {
	open := false
	for _, l := range listeners {
		need, err := x.protection(l.Addr())
		if err != nil {
			return "", err
		}
		switch need {
		case needToken:
			token = web.NewToken()
		case needNothing:
			open = true
		}
	}
	if open && token != "" {
		return "", usageErrorf("start one for each", "a unix socket and a TCP port with a token cannot be served together")
	}
	return token, nil
}

// serveSite serves the dashboard on all listeners, until a server fails or the context ends.
func (x *serving) serveSite(cmd *cobra.Command, site *web.Server, listeners []net.Listener, token string, log *slog.Logger) (err error) {
	failed := make(chan error, len(listeners))
	var servers []*http.Server
	for _, l := range listeners {
		var handler http.Handler = site
		if l.Addr().Network() != "unix" && x.config != "" {
			handler = x.stillProtected(l.Addr(), site, log)
		}
		server := &http.Server{
			Handler: handler, ReadHeaderTimeout: headerTime, ReadTimeout: requestTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
			MaxHeaderBytes: web.HeaderAtMost, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		}
		servers = append(servers, server)
		fmt.Fprintf(cmd.OutOrStdout(), "bouncelog: dashboard at %s\n", table.Clean(x.url(l.Addr(), token)))
		l = netutil.LimitListener(l, connectionsAtMost)
		go func() {
			if l.Addr().Network() == "unix" || x.config == "" {
				failed <- server.Serve(l)
				return
			}
			failed <- exporter.Serve(l, server, &exporter.FlagConfig{WebConfigFile: &x.config}, log)
		}()
	}
	select {
	case err = <-failed:
	case <-cmd.Context().Done():
	}
	site.Close()
	end, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	for _, s := range servers {
		if s.Shutdown(end) != nil {
			s.Close()
		}
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

// url returns the URL of the dashboard at a TCP address, with its token; of a unix socket, the path.
func (x *serving) url(addr net.Addr, token string) string {
	if addr.Network() == "unix" {
		return addr.String()
	}
	scheme := "http"
	if c, err := readWebConfig(x.config); err == nil && c.TLSConfig.IsEnabled() {
		scheme = "https"
	}
	url := scheme + "://" + addr.String() + "/"
	if token != "" {
		url += "?token=" + token
	}
	return url
}

// listeners returns the sockets that systemd passes, or else the one of --listen.
func (x *serving) listeners() ([]net.Listener, error) {
	handed, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("the sockets of systemd: %w", err)
	}
	var list []net.Listener
	for _, l := range handed {
		if l != nil {
			list = append(list, l)
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	if path, ok := strings.CutPrefix(x.listen, "unix:"); ok {
		l, err := listenUnix(path)
		if err != nil {
			return nil, &exitError{status: exitFailed, err: fmt.Errorf("--listen: %w", err), hint: "the directory must be there and be ours; --listen :9155 is the loopback interface"}
		}
		return []net.Listener{l}, nil
	}
	addr, err := metrics.Address(x.listen)
	if err != nil {
		return nil, usageErrorf("as in --listen :9155 or --listen unix:/run/bouncelog/web.sock", "--listen %s: %w", x.listen, err)
	}
	// What may not be served is not listened on either.
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, usageErrorf("as in --listen :9155", "--listen %s: %w", x.listen, err)
	}
	if _, err := x.protection(tcp); err != nil {
		return nil, err
	}
	l, err := net.ListenTCP("tcp", tcp)
	if err != nil {
		return nil, &exitError{status: exitFailed, err: fmt.Errorf("--listen: %w", err), hint: "another port, as in --listen :9156"}
	}
	return []net.Listener{l}, nil
}

// listenUnix listens on a socket that only its owner and group may connect to. It replaces a socket
// without a listener; any other file at the path is an error.
func listenUnix(path string) (net.Listener, error) {
	if st, err := os.Lstat(path); err == nil {
		if st.Mode()&fs.ModeSocket == 0 {
			return nil, fmt.Errorf("%s exists and is not a socket", path)
		}
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			c.Close()
			return nil, fmt.Errorf("%s: another process listens on it", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	old := syscall.Umask(0o117) // it is never open to others, not even for a moment
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	return l, err
}

// A need is the protection that a listener needs, so that only the users of the dashboard read
// addresses.
type need int

const (
	needNothing need = iota // the file system says who may connect
	needToken
	needUsers
)

// protection says what protects a listener, or why it may not be served.
func (x *serving) protection(addr net.Addr) (need, error) {
	if addr.Network() == "unix" {
		return needNothing, nil
	}
	var c exporter.Config
	if x.config != "" {
		if err := exporter.Validate(x.config); err != nil {
			return 0, usageErrorf("see prometheus.io: web configuration", "--web-config: %w", err)
		}
		read, err := readWebConfig(x.config)
		if err != nil {
			return 0, usageErrorf("", "--web-config: %w", err)
		}
		c = *read
	}
	certificates := c.TLSConfig.ClientAuth == "RequireAndVerifyClientCert"
	users := len(c.Users) > 0 || certificates
	tcp, ok := addr.(*net.TCPAddr)
	loopback := ok && tcp.IP.IsLoopback()
	switch {
	case users && (loopback || c.TLSConfig.IsEnabled()):
		return needUsers, nil
	case loopback && x.config == "":
		return needToken, nil
	case loopback:
		return 0, usageErrorf("add basic_auth_users, or leave out --web-config for a token", "--web-config: it has no users")
	}
	return 0, usageErrorf("give --web-config FILE with tls_server_config and basic_auth_users; or listen on a unix socket, and let a proxy see to that",
		"--listen %s: others than this machine could read mail addresses there", addr)
}

// stillProtected refuses requests while the web configuration has no users: the toolkit reads the
// file again for every request, and the users may have been removed from it.
func (x *serving) stillProtected(addr net.Addr, next http.Handler, log *slog.Logger) http.Handler {
	var mu sync.Mutex
	var was time.Time
	var bad error
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		st, err := os.Stat(x.config)
		mu.Lock()
		if err != nil {
			bad = err
		} else if !st.ModTime().Equal(was) {
			was = st.ModTime()
			if _, bad = x.protection(addr); bad != nil {
				log.Error("not served any more", "error", table.Clean(bad.Error()))
			}
		}
		err = bad
		mu.Unlock()
		if err != nil {
			http.Error(w, "the web configuration no longer protects this address", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func readWebConfig(path string) (*exporter.Config, error) {
	if path == "" {
		return &exporter.Config{}, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := &exporter.Config{}
	return c, yaml.Unmarshal(raw, c)
}

// readable opens the database for reading, and again where another file has taken its
// place ('bouncelog db restore'). Readers of the old one finish with it.
type readable struct {
	path string
	open func(context.Context) (store.Store, error)

	mu  sync.Mutex
	cur *handle
}

// A handle is one open database and how many use it.
type handle struct {
	db    store.Store
	file  fs.FileInfo
	users int
	gone  bool // another file has its place
}

// take returns the database that is there now.
func (x *readable) take(ctx context.Context) (*handle, func(), error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var st fs.FileInfo // nil on a server
	var err error
	if !onServer(x.path) {
		st, err = os.Stat(x.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
		if x.cur != nil && (err != nil || !os.SameFile(st, x.cur.file)) {
			x.drop()
		}
	}
	if x.cur == nil {
		db, err := x.open(ctx)
		if err != nil {
			return nil, nil, err
		}
		if !onServer(x.path) {
			if st, err = os.Stat(x.path); err != nil {
				return nil, nil, errors.Join(err, db.Close())
			}
		}
		x.cur = &handle{db: db, file: st}
	}
	h := x.cur
	h.users++
	var once sync.Once
	return h, func() {
		once.Do(func() {
			x.mu.Lock()
			defer x.mu.Unlock()
			if h.users--; h.gone && h.users == 0 {
				h.db.Close()
			}
		})
	}, nil
}

// drop forgets the open database; the last user closes it. Lock first.
func (x *readable) drop() {
	if h := x.cur; h != nil {
		x.cur, h.gone = nil, true
		if h.users == 0 {
			h.db.Close()
		}
	}
}

func (x *readable) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.drop()
}

// released is a Reader that lets go of its database when it is closed.
type released struct {
	store.Reader
	done func()
}

func (r *released) Close() error {
	defer r.done()
	return r.Reader.Close()
}

var _ store.PeriodReader = (*released)(nil)

func (r *released) CountPeriods(ctx context.Context, f store.Filter, periods []store.Span, by ...store.Dimension) ([][]store.Cell, error) {
	return store.CountPeriods(ctx, r.Reader, f, periods, by...)
}

func (r *released) NewestAt(ctx context.Context, f store.Filter, visits []store.Visit) ([]*store.Attempt, error) {
	return store.NewestAt(ctx, r.Reader, f, visits)
}

func (x *readable) read(ctx context.Context) (store.Reader, error) {
	h, done, err := x.take(ctx)
	if err != nil {
		return nil, err
	}
	r, err := h.db.Read(ctx)
	if err != nil {
		done()
		return nil, err
	}
	return &released{r, done}, nil
}

var errReplaced = errors.New("another file has taken the place of the database")

func (x *readable) watch(ctx context.Context) (func() (int64, error), func(), error) {
	h, done, err := x.take(ctx)
	if err != nil {
		return nil, nil, err
	}
	w, err := can[store.Watcher](h.db, "tell that something was stored")
	if err != nil {
		done()
		return nil, nil, err
	}
	version, stop, err := w.Watch(ctx)
	if err != nil {
		done()
		return nil, nil, err
	}
	return func() (int64, error) {
			if st, err := os.Stat(x.path); h.file != nil && (err != nil || !os.SameFile(st, h.file)) {
				return 0, errReplaced
			}
			return version()
		}, func() {
			stop()
			done()
		}, nil
}

// newServeLink makes links.
func newServeLink() *cobra.Command {
	var domain, lasts, at, file string
	cmd := &cobra.Command{
		Use:   "link",
		Short: "Print a link to the mail of one sender domain",
		Long: `Prints a link for a customer or a help desk: without a password, it shows the mail
of one sender domain, and nothing else, until it expires. It is signed with the key in
--link-key, which is created if it does not exist. Links are not stored: a new key
invalidates all of them. 'bouncelog serve' needs the same --link-key.`,
		Example: `  bouncelog serve link --sender-domain shop.example --for 7d --url https://mail.example.com`,
		Args:    needArgs(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			domain = strings.ToLower(strings.TrimSpace(domain))
			if domain == "" || strings.ContainsAny(domain, "@/ ") {
				return usageErrorf("as in --sender-domain shop.example", "--sender-domain: a domain is missing")
			}
			d, err := duration(lasts)
			if err != nil || d > 366*24*time.Hour {
				return usageErrorf("as in --for 7d; a year at most", "--for %s: not a length of time", lasts)
			}
			if file == "" {
				return usageErrorf("as in --link-key /var/lib/bouncelog/link.key", "--link-key is missing")
			}
			key, err := readKey(file)
			if errors.Is(err, fs.ErrNotExist) {
				key, err = makeKey(file)
			}
			if err != nil {
				return err
			}
			until := time.Now().Add(d)
			path, err := web.Link(key, domain, until)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), strings.TrimSuffix(at, "/")+path)
			fmt.Fprintf(cmd.ErrOrStderr(), "bouncelog: good until %s (%s)\n", until.Format("2006-01-02 15:04"), when.Span(d))
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&domain, "sender-domain", "", "sender `DOMAIN` whose mail it shows")
	f.StringVar(&lasts, "for", "7d", "lifetime of the link (`TIME`)")
	f.StringVar(&at, "url", "http://localhost:9155", "`URL` of the dashboard for its readers")
	f.StringVar(&file, "link-key", "", "the `FILE` with the key")
	return cmd
}

// readKey reads a key. Others than the owner and the group must not be able to.
func readKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--link-key: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("--link-key: %w", err)
	}
	if !st.Mode().IsRegular() || st.Mode().Perm()&0o007 != 0 {
		return nil, usageErrorf("chmod 0640 on it, and make a new key if others have read it", "--link-key %s: others can read it", path)
	}
	raw, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return nil, fmt.Errorf("--link-key: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil || len(key) < web.KeyLength {
		return nil, usageErrorf("remove it: 'bouncelog serve link' makes one", "--link-key %s: no key", path)
	}
	return key, nil
}

func makeKey(path string) ([]byte, error) {
	key := make([]byte, web.KeyLength)
	rand.Read(key) // never fails (crypto/rand)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return nil, fmt.Errorf("--link-key: %w", err)
	}
	_, err = fmt.Fprintln(f, base64.StdEncoding.EncodeToString(key))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	// The service is another user: as the database, the key belongs to the owner of its
	// directory.
	if st, err := os.Stat(filepath.Dir(path)); err == nil && os.Geteuid() == 0 {
		if uid, gid, ok := owner(st); ok {
			if err := os.Chown(path, uid, gid); err != nil {
				return nil, err
			}
		}
	}
	return key, nil
}
