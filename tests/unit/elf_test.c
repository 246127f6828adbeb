/* The reader of shared objects: a real one, then one built by hand that is damaged in every way. */
#include "tests/support/suite.h"

#include <elf.h>
#include <s4/abi.h>

#include "pe/bundle/elf.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"

/* The smallest file that has everything: three segments, a note of ours, a build id, two needs. */
struct file {
    Elf64_Ehdr header;
    Elf64_Phdr segments[4];
    s4_note ours;
    Elf64_Nhdr id;
    char id_name[4];
    char id_bytes[4];
    char gap[4];
    Elf64_Dyn dynamic[6];
    char strings[32];
};

#define SPAN(member) offsetof(struct file, member), sizeof(((struct file *)0)->member)

static Elf64_Phdr segment(uint32_t type, uint64_t offset, uint64_t size, uint64_t align)
{
    return (Elf64_Phdr){ .p_type = type,
                         .p_offset = offset,
                         .p_vaddr = 0x1000 + offset,
                         .p_filesz = size,
                         .p_memsz = size,
                         .p_align = align };
}

static struct file file_make(void)
{
    struct file file;
    memset(&file, 0, sizeof file);
    file.header = (Elf64_Ehdr){ .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 },
                                .e_type = ET_DYN,
                                .e_machine = EM_X86_64,
                                .e_phoff = offsetof(struct file, segments),
                                .e_phentsize = sizeof(Elf64_Phdr),
                                .e_phnum = 4 };
    file.segments[0] = segment(PT_LOAD, 0, sizeof file, 0x1000);
    file.segments[1] = segment(PT_NOTE, SPAN(ours), 8);
    file.segments[2] = segment(PT_NOTE, offsetof(struct file, id),
                               offsetof(struct file, gap) - offsetof(struct file, id), 4);
    file.segments[3] = segment(PT_DYNAMIC, SPAN(dynamic), 8);
    file.ours = (s4_note){ .name_size = 4,
                           .description_size = sizeof(s4_note) - offsetof(s4_note, magic),
                           .type = S4_NOTE_TYPE,
                           .name = S4_NOTE_NAME,
                           .magic = S4_NOTE_MAGIC,
                           .major = S4_ABI_MAJOR,
                           .minor = S4_ABI_MINOR,
                           .layout = S4_LAYOUT_SIGNATURE };
    file.id = (Elf64_Nhdr){ .n_namesz = 4, .n_descsz = 4, .n_type = NT_GNU_BUILD_ID };
    memcpy(file.id_name, "GNU", 4);
    memcpy(file.id_bytes, "\x12\xab\x00\xff", 4);
    memcpy(file.strings, "\0libc.so.6\0liblong.so\0", 22);
    const Elf64_Dyn dynamic[] = {
        { DT_NEEDED, { 1 } },
        { DT_STRTAB, { 0x1000 + offsetof(struct file, strings) } },
        { DT_STRSZ, { sizeof file.strings } },
        { DT_NEEDED, { 11 } },
        { DT_NULL, { 0 } },
        { DT_NEEDED, { 9999 } }, /* behind the end: not read */
    };
    memcpy(file.dynamic, dynamic, sizeof dynamic);
    return file;
}

START_TEST(what_a_file_says_is_read)
{
    struct file file = file_make();
    struct elf_info info;
    struct diag diag;
    s4_status status = elf_read(&file, sizeof file, &info, &diag);
    ck_assert_msg(status == S4_OK, "%s", diag.text);
    ck_assert_uint_eq(info.major, S4_ABI_MAJOR);
    ck_assert_uint_eq(info.layout, S4_LAYOUT_SIGNATURE);
    ck_assert_str_eq(info.build_id, "12ab00ff");
    ck_assert_uint_eq(info.n_needed, 2);
    ck_assert_str_eq(info.needed[0], "libc.so.6");
    ck_assert_str_eq(info.needed[1], "liblong.so");
    ck_assert_int_eq(elf_fits(&info, &diag), S4_OK);
}
END_TEST

START_TEST(versions_and_layouts_are_compared)
{
    struct elf_info info = { .major = 1, .minor = 0, .layout = S4_LAYOUT_SIGNATURE };
    struct diag diag;
    ck_assert_int_eq(elf_fits(&info, &diag), S4_OK);
    info.minor = S4_ABI_MINOR + 1;
    ck_assert_int_eq(elf_fits(&info, &diag), S4_VERSION);
    ck_assert_str_eq(diag.text, "the library is built for s4's ABI 1.1; this node has 1.0");
    info.minor = 0;
    info.major = 0;
    ck_assert_int_eq(elf_fits(&info, &diag), S4_VERSION);
    info.major = 1;
    info.layout++;
    ck_assert_int_eq(elf_fits(&info, &diag), S4_VERSION);
}
END_TEST

static void expect(const struct file *file, s4_status wanted, const char *text)
{
    struct elf_info info;
    struct diag diag;
    ck_assert_int_eq(elf_read(file, sizeof *file, &info, &diag), wanted);
    ck_assert_str_eq(diag.text, text);
}

START_TEST(each_damage_is_told)
{
    struct file file = file_make();
    file.header.e_ident[1] = 'e';
    expect(&file, S4_MALFORMED, "the library is not a shared object (ELF)");
    file = file_make();
    file.header.e_ident[EI_CLASS] = ELFCLASS32;
    expect(&file, S4_UNSUPPORTED,
           "the library is not for a 64-bit little-endian machine; this one is x86-64");
    file = file_make();
    file.header.e_type = ET_EXEC;
    expect(&file, S4_MALFORMED, "the library is not a shared object (link it with -shared)");
    file = file_make();
    file.header.e_machine = EM_AARCH64;
    expect(&file, S4_UNSUPPORTED,
           "the library is built for aarch64 (machine 183); this one is x86-64");
    file = file_make();
    file.header.e_phoff = UINT64_MAX - 8;
    expect(&file, S4_MALFORMED,
           "the library is damaged: its table of segments lies outside of the file");
    file = file_make();
    file.segments[1].p_offset = UINT64_MAX;
    expect(&file, S4_MALFORMED, "the library is damaged: a note lies outside of the file");
    file = file_make();
    file.ours.magic++;
    expect(&file, S4_INVALID,
           "the library has no s4 note; define the app with S4_APP in one of its files");
    file = file_make();
    file.ours.description_size = 0xffffffff;
    expect(&file, S4_INVALID,
           "the library has no s4 note; define the app with S4_APP in one of its files");
    file = file_make();
    file.segments[3].p_type = PT_NULL;
    expect(&file, S4_MALFORMED, "the library is not a shared object: it has no dynamic section");
    file = file_make();
    file.dynamic[0].d_un.d_val = 31;
    file.strings[31] = 'x';
    expect(&file, S4_MALFORMED,
           "the library is damaged: the name of a library that it needs lies outside of the file");
    file = file_make();
    file.dynamic[1].d_un.d_ptr = 1;
    expect(&file, S4_MALFORMED,
           "the library is damaged: the name of a library that it needs lies outside of the file");
}
END_TEST

START_TEST(more_needs_than_are_told_are_left_out)
{
    char bytes[sizeof(struct file) + 40 * sizeof(Elf64_Dyn)] = { 0 };
    struct file file = file_make();
    Elf64_Dyn *more = (Elf64_Dyn *)(void *)(bytes + sizeof file);
    more[0] = file.dynamic[1];
    more[1] = file.dynamic[2];
    for (int i = 2; i < 39; i++)
        more[i] = file.dynamic[0];
    file.segments[3].p_offset = sizeof file;
    file.segments[3].p_filesz = 40 * sizeof(Elf64_Dyn);
    memcpy(bytes, &file, sizeof file);
    struct elf_info info;
    ck_assert_int_eq(elf_read(bytes, sizeof bytes, &info, NULL), S4_OK);
    ck_assert_uint_eq(info.n_needed, ELF_NEEDED_MAX);
}
END_TEST

START_TEST(segments_and_notes_are_bounded)
{
    size_t size = sizeof(struct file) + 129 * sizeof(Elf64_Phdr) + 64 * KIB + 1;
    char *bytes = mem_zalloc(size);
    struct file file = file_make();
    struct elf_info info;
    memcpy(bytes + sizeof file, file.segments, sizeof file.segments); /* the rest is PT_NULL */
    file.header.e_phoff = sizeof file;
    file.header.e_phnum = 128;
    memcpy(bytes, &file, sizeof file);
    ck_assert_int_eq(elf_read(bytes, size, &info, NULL), S4_OK);
    file.header.e_phnum = 129;
    memcpy(bytes, &file, sizeof file);
    ck_assert_int_eq(elf_read(bytes, size, &info, NULL), S4_MALFORMED);
    file.header.e_phnum = 4;
    memcpy(bytes, &file, sizeof file);
    Elf64_Phdr notes = segment(PT_NOTE, offsetof(struct file, ours), 64 * KIB, 8);
    memcpy(bytes + sizeof file + sizeof notes, &notes, sizeof notes);
    ck_assert_int_eq(elf_read(bytes, size, &info, NULL), S4_OK);
    notes.p_filesz++;
    memcpy(bytes + sizeof file + sizeof notes, &notes, sizeof notes);
    ck_assert_int_eq(elf_read(bytes, size, &info, NULL), S4_MALFORMED);
    mem_free(bytes);
}
END_TEST

/* Each in memory of its own size, so that the sanitizer sees a byte too far. */
static void read_copy(const void *bytes, size_t size)
{
    void *copy = mem_dup(bytes, size);
    struct elf_info info;
    ck_assert_ptr_nonnull(copy);
    s4_status status = elf_read(copy, size, &info, NULL);
    ck_assert(status == S4_OK || status == S4_MALFORMED || status == S4_UNSUPPORTED ||
              status == S4_INVALID);
    mem_free(copy);
}

START_TEST(every_cut_and_many_flips_are_survived)
{
    struct file file = file_make();
    for (size_t size = 0; size <= sizeof file; size++)
        read_copy(&file, size);
    struct rng rng;
    rng_init(&rng, suite_seed());
    for (int round = 0; round < 100000; round++) {
        struct file damaged = file;
        char *bytes = (char *)&damaged;
        for (uint64_t n = 1 + rng_below(&rng, 4); n > 0; n--)
            bytes[rng_below(&rng, sizeof file)] =
                (char)(rng_below(&rng, 2) ? rng_next(&rng) : 0xff);
        read_copy(&damaged, sizeof damaged);
    }
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("elf");
    suite_add(suite, "read", what_a_file_says_is_read, 10);
    suite_add(suite, "fits", versions_and_layouts_are_compared, 10);
    suite_add(suite, "damage", each_damage_is_told, 10);
    suite_add(suite, "needs", more_needs_than_are_told_are_left_out, 10);
    suite_add(suite, "bounds", segments_and_notes_are_bounded, 10);
    suite_add(suite, "flips", every_cut_and_many_flips_are_survived, 60);
    return suite;
}
