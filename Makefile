# SPDX-License-Identifier: GPL-2.0-only
#
# Builds Keel's modules and drives the lab that tests them.
#
#   make                 kvm.ko, kvm-intel.ko and kvm-amd.ko for KDIR
#   make sparse          the same through sparse; any remark is an error
#   make install         modules_install into the running system
#   make deb             the Debian package keel-dkms, in packaging/out
#   make clean
#
#   make setup           installs and caches what the lab needs (root, Debian 12)
#   make demo            boots a guest on the module, on a machine without virtualization hardware
#   make test            all tests; T='pattern' picks some by name
#   make soak            what takes hours: fuzzing, hostile guests; SOAK_SECONDS=3600 for each
#   make bench           cost per operation, beside the distribution's module
#   make lab             a shell on the emulated machine, module loaded
#
# demo, test, soak and lab take MODULES=distro (the distribution's own modules instead of Keel's)
# and KERNEL=debug (a kernel with KASAN and lockdep); demo, test, bench and lab VENDOR=amd or intel
# (test runs both by default, the others amd). KEEL_CACHE holds everything slow to make.

headers := $(wildcard /lib/modules/*/build /usr/src/linux-headers-*-amd64)
newest  := grep -Hs UTS_RELEASE $(headers:=/include/generated/utsrelease.h) | \
	   sed 's,\(.*\)/include/.*"\(.*\)",\2 \1,' | sort -rV | sed 's/^[^ ]* //;q'

KDIR    ?= $(or $(wildcard /lib/modules/$(shell uname -r)/build),$(shell $(newest) 2>/dev/null))
MODULES ?= keel
KERNEL  ?=
VENDOR  ?=
T       ?= *
SOAK_SECONDS ?= 3600

lab     := tools/testing/lab
of      := --modules $(MODULES) $(addprefix --kernel ,$(KERNEL)) $(addprefix --vendor ,$(VENDOR))
kbuild  := $(MAKE) -C $(KDIR) M=$(CURDIR) W=1 KCFLAGS=-Werror

all: modules

modules: need-headers
	+$(kbuild) modules

sparse: need-headers
	@log=$$(mktemp) && trap 'rm -f $$log' EXIT && \
	$(kbuild) C=2 modules >$$log 2>&1; status=$$?; cat $$log; \
	! grep -Eq '(warning|error):' $$log && exit $$status

install: modules
	$(kbuild) modules_install

deb:
	packaging/make-deb

clean: need-headers
	$(MAKE) -C $(KDIR) M=$(CURDIR) clean

need-headers:
	@test -f "$(KDIR)/Makefile" || { \
		echo "No kernel headers found. Install the package linux-headers-$$(uname -r)," \
		     "or linux-headers-amd64 and, if need be, set KDIR." >&2; exit 1; }

print-kdir:
	@echo $(KDIR)

setup:
	$(lab)/setup all

demo:
	$(lab)/demo $(of)

test:
	$(lab)/run-tests $(of) '$(T)'

soak:
	$(lab)/soak --modules $(MODULES) --kernel $(or $(KERNEL),stock) --seconds $(SOAK_SECONDS)

lab:
	$(lab)/setup $(or $(filter debug,$(KERNEL)),$(if $(filter intel,$(VENDOR)),bochs,base))
	$(if $(filter keel,$(MODULES)),$(lab)/build $(KERNEL) $(VENDOR))
	$(lab)/l1 $(of) --interactive

bench:
	tools/bench/run $(if $(filter intel,$(VENDOR)),--vendor intel,--decoder)

.PHONY: all modules sparse install deb clean need-headers print-kdir setup demo test soak lab bench
