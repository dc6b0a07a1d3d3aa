package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
)

// writeTo writes text as 'bouncelog ... -o path' does.
func writeTo(t *testing.T, path, text string) error {
	t.Helper()
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	cmd.SetOut(io.Discard)
	out := output{file: path}
	return out.write(cmd, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func create(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

func lstat(t *testing.T, path string) fs.FileInfo {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// onlyFiles holds that nothing is left beside the files that are named.
func onlyFiles(t *testing.T, dir string, names ...string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("%s holds %q, want %q", dir, got, names)
	}
}

// A new file has mode 0640, whatever the umask; one that is there keeps its mode.
func TestOutputMode(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	dir := t.TempDir()
	path := filepath.Join(dir, "report")
	for _, mode := range []fs.FileMode{0o640, 0o644, 0o600, 0o664, 0o400} {
		if mode != 0o640 {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
		if err := writeTo(t, path, mode.String()); err != nil {
			t.Fatal(err)
		}
		if got := lstat(t, path).Mode(); got != mode {
			t.Errorf("mode %v, want %v", got, mode)
		}
	}
	if got := content(t, path); got != "-r--------" {
		t.Errorf("%q was written", got)
	}
	onlyFiles(t, dir, "report")
}

// A file that is there keeps its owner and group.
func TestOutputOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	path := filepath.Join(t.TempDir(), "report")
	create(t, path, "old", 0o640)
	if err := os.Chown(path, 12, 34); err != nil {
		t.Fatal(err)
	}
	if err := writeTo(t, path, "new"); err != nil {
		t.Fatal(err)
	}
	info := lstat(t, path)
	if s := info.Sys().(*syscall.Stat_t); s.Uid != 12 || s.Gid != 34 || info.Mode() != 0o640 {
		t.Errorf("owner %d, group %d, mode %v", s.Uid, s.Gid, info.Mode())
	}
	if got := content(t, path); got != "new" {
		t.Errorf("%q was written", got)
	}
}

// What fails leaves the file as it was, and nothing beside it.
func TestOutputFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "report")
	create(t, path, "old", 0o644)
	out := output{file: path}
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	failed := errors.New("half of it")
	err := out.write(cmd, func(w io.Writer) error {
		io.WriteString(w, "half")
		return failed
	})
	if !errors.Is(err, failed) {
		t.Errorf("error %v", err)
	}
	if got := content(t, path); got != "old" {
		t.Errorf("%q was written", got)
	}
	onlyFiles(t, dir, "report")
}

// A symbolic link stays, and the file that it leads to is replaced.
func TestOutputLink(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	link := func(to, name string) {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	create(t, filepath.Join(dir, "sub/target"), "old", 0o604)
	link("b", "a")
	link("sub/c", "b")
	link("../sub/target", "sub/c")
	if err := writeTo(t, filepath.Join(dir, "a"), "new"); err != nil {
		t.Fatal(err)
	}
	if got := content(t, filepath.Join(dir, "sub/target")); got != "new" {
		t.Errorf("the target holds %q", got)
	}
	for _, name := range []string{"a", "b", "sub/c"} {
		if lstat(t, filepath.Join(dir, name)).Mode().Type() != fs.ModeSymlink {
			t.Errorf("%s is no link any more", name)
		}
	}
	if got := lstat(t, filepath.Join(dir, "sub/target")).Mode(); got != 0o604 {
		t.Errorf("mode %v", got)
	}
	onlyFiles(t, filepath.Join(dir, "sub"), "c", "target")

	// One that leads nowhere yet: the file it names comes into being.
	link("sub/later", "dangling")
	if err := writeTo(t, filepath.Join(dir, "dangling"), "new"); err != nil {
		t.Fatal(err)
	}
	if got := lstat(t, filepath.Join(dir, "sub/later")); got.Mode() != 0o640 {
		t.Errorf("mode %v", got.Mode())
	}
	// One that never can.
	link("loop", "loop")
	if err := writeTo(t, filepath.Join(dir, "loop"), "new"); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a loop: %v", err)
	}
	link("none/file", "nowhere")
	if err := writeTo(t, filepath.Join(dir, "nowhere"), "new"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	onlyFiles(t, dir, "a", "b", "dangling", "loop", "nowhere", "sub")
}

// What another user laid is left alone: a link anywhere, and anything in a directory
// where all may write.
func TestOutputSharedDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	safe := t.TempDir()
	create(t, filepath.Join(safe, "passwd"), "old", 0o644)
	link, file, pipe := filepath.Join(dir, "link"), filepath.Join(dir, "file"), filepath.Join(dir, "pipe")
	create(t, file, "old", 0o644)
	if err := errors.Join(os.Symlink(filepath.Join(safe, "passwd"), link), syscall.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, file, pipe} {
		if err := os.Lchown(path, 4321, 4321); err != nil {
			t.Fatal(err)
		}
		if err := writeTo(t, path, "new"); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if content(t, file) != "old" || content(t, filepath.Join(safe, "passwd")) != "old" {
		t.Error("it was written to")
	}
	trap := filepath.Join(safe, "trap")
	if err := errors.Join(os.Symlink("passwd", trap), os.Lchown(trap, 4321, 4321)); err != nil {
		t.Fatal(err)
	}
	if err := writeTo(t, trap, "new"); !errors.Is(err, fs.ErrPermission) || content(t, filepath.Join(safe, "passwd")) != "old" {
		t.Errorf("%s: %v", trap, err)
	}
	// A link in place of a parent directory, also behind a link of our own.
	parent, own := filepath.Join(dir, "parent"), filepath.Join(safe, "own")
	if err := errors.Join(os.Symlink(safe, parent), os.Lchown(parent, 4321, 4321), os.Symlink(filepath.Join(parent, "."), own)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(parent, "passwd"), filepath.Join(parent, "fresh"), filepath.Join(own, "passwd"), dir + "/./parent//passwd"} {
		if err := writeTo(t, path, "new"); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", path, err)
		}
	}
	// A database and its copy are not written through it either.
	log := filepath.Join(t.TempDir(), "mail.log")
	create(t, log, "Nov 23 09:47:06 mx1 postfix/qmgr[7]: 4028B460: removed\n", 0o644)
	bouncelog(t, exitFailed, "import", "--db", filepath.Join(parent, "fresh"), log)
	db := filepath.Join(t.TempDir(), "b.db")
	bouncelog(t, exitOK, "import", "--db", db, log)
	bouncelog(t, exitFailed, "db", "backup", "--db", db, filepath.Join(parent, "fresh"))
	if _, err := os.Lstat(filepath.Join(safe, "fresh")); err == nil || content(t, filepath.Join(safe, "passwd")) != "old" {
		t.Error("it was written through the parent")
	}
	// Our own are no stranger's.
	if err := os.Lchown(parent, 0, 0); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, file, filepath.Join(own, "fresh")} {
		if err := os.Lchown(path, 0, 0); err != nil && path != filepath.Join(own, "fresh") {
			t.Fatal(err)
		}
		if err := writeTo(t, path, "new"); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if content(t, file) != "new" || content(t, filepath.Join(safe, "passwd")) != "new" {
		t.Error("it was not written to")
	}
}

// A named pipe is written to, and stays.
func TestOutputPipe(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.Symlink("pipe", filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pipe", "link"} {
		read := make(chan string, 1)
		go func() {
			b, err := os.ReadFile(pipe)
			read <- string(b)
			if err != nil {
				t.Error(err)
			}
		}()
		if err := writeTo(t, filepath.Join(dir, name), "through "+name); err != nil {
			t.Fatal(err)
		}
		if lstat(t, pipe).Mode().Type() != fs.ModeNamedPipe {
			t.Fatal("the pipe was replaced")
		}
		if got := <-read; got != "through "+name {
			t.Errorf("%q came through", got)
		}
	}
	onlyFiles(t, dir, "link", "pipe")
	// Nobody reads: it ends when it is told to.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cmd := &cobra.Command{}
	cmd.SetContext(ctx)
	out := output{file: pipe}
	if err := out.write(cmd, func(io.Writer) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// A device is written to, and stays: also for root.
func TestOutputDevice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "null")
	if err := syscall.Mknod(path, syscall.S_IFCHR|0o666, 1<<8|3); err != nil {
		t.Skipf("no device can be made here: %v", err)
	}
	if err := writeTo(t, path, "text"); err != nil {
		t.Fatal(err)
	}
	if info := lstat(t, path); info.Mode().Type() != fs.ModeDevice|fs.ModeCharDevice {
		t.Errorf("the device is now %v", info.Mode())
	}
	onlyFiles(t, filepath.Dir(path), "null")
}

// /dev/full is a disk that is always full.
func TestOutputDeviceFails(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full")
	}
	if os.Geteuid() == 0 {
		path := filepath.Join(t.TempDir(), "full")
		if err := syscall.Mknod(path, syscall.S_IFCHR|0o666, 1<<8|7); err != nil {
			t.Skipf("no device can be made here: %v", err)
		}
		if err := writeTo(t, path, "text"); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("error %v", err)
		}
		return
	}
	if err := writeTo(t, "/dev/full", "text"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v", err)
	}
}

// A directory is neither replaced nor written to.
func TestOutputDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := writeTo(t, dir, "text"); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("error %v", err)
	}
	onlyFiles(t, dir)
}

// The standard output of the process by another name goes on where it stands.
func TestOutputStandard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	io.WriteString(f, "first ")
	out := output{file: path}
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	cmd.SetOut(f)
	if err := out.write(cmd, func(w io.Writer) error { _, err := io.WriteString(w, "second"); return err }); err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); got != "first second" {
		t.Errorf("%q is there", got)
	}
}

// Every command that has -o writes by way of it.
func TestOutputOfCommands(t *testing.T) {
	dir := t.TempDir()
	log, target, link := filepath.Join(dir, "mail.log"), filepath.Join(dir, "target"), filepath.Join(dir, "link")
	create(t, log, "Nov 23 10:00:02 mx1 postfix/smtp[104]: 4A1B2C3D4E: to=<a@good.example>, relay=mx.good.example[192.0.2.20]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.good.example[192.0.2.20] said: 550 5.1.1 no)\n", 0o600)
	db := filepath.Join(dir, "test.db")
	bouncelog := func(args ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if status := run(t.Context(), append(args, "--db", db), strings.NewReader(""), &stdout, &stderr); status != 0 {
			t.Fatalf("%q: status %d, %s", args, status, &stderr)
		}
	}
	bouncelog("import", "--year", "2026", log)
	if err := os.Symlink("target", link); err != nil {
		t.Fatal(err)
	}
	arguments := map[string][]string{
		"config": {}, "db info": {}, "explain": {"550 5.1.1 no"}, "parse": {log}, "query": {"select 1"}, "report": {}, "scan": nil,
		"suppress": {}, "trace": {"a@good.example"},
	}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if c.Flags().Lookup("output") == nil {
			return
		}
		name := strings.TrimPrefix(c.CommandPath(), "bouncelog ")
		args, known := arguments[name]
		if !known {
			t.Errorf("%s has -o and is not in this test", name)
		}
		if args == nil { // asks the DNS
			return
		}
		create(t, target, "old", 0o604)
		bouncelog(append(append(strings.Fields(name), args...), "-o", link)...)
		if got := lstat(t, target); got.Mode() != 0o604 || content(t, target) == "old" || lstat(t, link).Mode().Type() != fs.ModeSymlink {
			t.Errorf("%s: mode %v, %.20q", name, got.Mode(), content(t, target))
		}
	}
	walk(newRoot())
}
