// Launch runs one ClickHouse node from the library libchdb.so, without cgo, and ends when
// its standard input closes. It is for tests: see package chnode.
//
//	LIBCHDB=/path/to/libchdb.so launch --config-file=… --path=… --tcp_port=… <pipe
package main

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// untilEOF opens the ports and then reads standard input to its end.
const untilEOF = "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; SELECT count() FROM file('stdin', 'LineAsString', 's String') FORMAT Null"

func main() {
	runtime.LockOSThread()
	lib, err := purego.Dlopen(os.Getenv("LIBCHDB"), purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var cmdline func(argc int32, argv unsafe.Pointer) uintptr
	purego.RegisterLibFunc(&cmdline, lib, "chdb_query_cmdline")
	args := append(append([]string{"clickhouse"}, os.Args[1:]...), "--query="+untilEOF)
	argv := make([]*byte, 0, len(args)+1)
	for _, a := range args {
		argv = append(argv, &append([]byte(a), 0)[0])
	}
	argv = append(argv, nil)
	r := cmdline(int32(len(args)), unsafe.Pointer(&argv[0]))
	runtime.KeepAlive(argv)
	if r == 0 {
		os.Exit(2)
	}
}
