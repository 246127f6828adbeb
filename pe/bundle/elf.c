/* A bounded reader of ELF64: program headers, notes, the dynamic section. Section headers are not
 * looked at: the loader of the system does not either, and strip removes them.
 *
 * Every read goes through `piece`, which answers NULL for what lies outside of the bytes; sums
 * cannot wrap there. Counts in the file bound nothing: the loops end at the bytes' end or at limits
 * here.
 */
#include "pe/bundle/elf.h"

#include <elf.h>

#include <s4/abi.h>

#define PROGRAM_HEADERS_MAX 128
#define NOTES_MAX           (64 * KIB) /* bytes of one segment of notes */

#if defined(__x86_64__)
#define HERE      EM_X86_64
#define HERE_NAME "x86-64"
#elif defined(__aarch64__)
#define HERE      EM_AARCH64
#define HERE_NAME "aarch64"
#elif defined(__riscv)
#define HERE      EM_RISCV
#define HERE_NAME "riscv64"
#else /* a machine that nobody has named here yet loads no libraries */
#define HERE      EM_NONE
#define HERE_NAME "unknown"
#endif

struct image {
    const char *bytes;
    size_t size;
    Elf64_Ehdr header;
};

static const char *piece(const struct image *image, uint64_t offset, uint64_t size)
{
    if (offset > image->size || size > image->size - offset)
        return NULL;
    return image->bytes + offset;
}

static s4_status damaged(struct diag *diag, const char *what)
{
    return diag_set(diag, S4_MALFORMED, "the library is damaged: %s lies outside of the file",
                    what);
}

/* ---- headers ------------------------------------------------------------------------------- */

static const char *machine_name(uint16_t machine)
{
    switch (machine) {
    case EM_386:
        return "i386";
    case EM_ARM:
        return "arm";
    case EM_X86_64:
        return "x86-64";
    case EM_AARCH64:
        return "aarch64";
    case EM_PPC64:
        return "ppc64";
    case EM_S390:
        return "s390x";
    case EM_RISCV:
        return "riscv64";
    default:
        return "another machine";
    }
}

static s4_status read_header(struct image *image, struct diag *diag)
{
    const char *at = piece(image, 0, sizeof image->header);
    if (!at || memcmp(at, ELFMAG, SELFMAG) != 0)
        return diag_set(diag, S4_MALFORMED, "the library is not a shared object (ELF)");
    memcpy(&image->header, at, sizeof image->header);
    const Elf64_Ehdr *header = &image->header;
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB)
        return diag_set(
            diag, S4_UNSUPPORTED,
            "the library is not for a 64-bit little-endian machine; this one is " HERE_NAME);
    if (header->e_type != ET_DYN)
        return diag_set(diag, S4_MALFORMED,
                        "the library is not a shared object (link it with -shared)");
    if (header->e_machine != HERE)
        return diag_set(diag, S4_UNSUPPORTED,
                        "the library is built for %s (machine %u); this one is " HERE_NAME,
                        machine_name(header->e_machine), header->e_machine);
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum > PROGRAM_HEADERS_MAX ||
        !piece(image, header->e_phoff, (uint64_t)header->e_phnum * sizeof(Elf64_Phdr)))
        return damaged(diag, "its table of segments");
    return S4_OK;
}

static Elf64_Phdr segment(const struct image *image, uint16_t index)
{
    Elf64_Phdr segment;
    memcpy(&segment, image->bytes + image->header.e_phoff + index * sizeof segment, sizeof segment);
    return segment;
}

/* ---- notes --------------------------------------------------------------------------------- */

static void write_hex(const char *bytes, size_t size, char *text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        *text++ = digits[(unsigned char)bytes[i] >> 4];
        *text++ = digits[(unsigned char)bytes[i] & 15];
    }
    *text = '\0';
}

static void take_note(const Elf64_Nhdr *note, const char *name, const char *description,
                      struct elf_info *info, bool *found)
{
    s4_note ours;
    size_t head = offsetof(s4_note, magic);
    if (note->n_namesz == 4 && memcmp(name, "GNU", 4) == 0 && note->n_type == NT_GNU_BUILD_ID) {
        write_hex(description, size_min(note->n_descsz, ELF_BUILD_ID_MAX), info->build_id);
    } else if (note->n_type == S4_NOTE_TYPE && note->n_namesz == 4 &&
               memcmp(name, S4_NOTE_NAME "\0", 4) == 0 && note->n_descsz >= sizeof ours - head) {
        memcpy((char *)&ours + head, description, sizeof ours - head);
        if (ours.magic != S4_NOTE_MAGIC)
            return;
        info->major = ours.major;
        info->minor = ours.minor;
        info->layout = ours.layout;
        *found = true;
    }
}

static void read_notes(const char *at, size_t size, size_t align, struct elf_info *info,
                       bool *found)
{
    Elf64_Nhdr note;
    size_t offset = 0;
    while (offset < size && size - offset >= sizeof note) {
        memcpy(&note, at + offset, sizeof note);
        uint64_t name = offset + sizeof note;
        uint64_t description = align_up(name + note.n_namesz, align);
        uint64_t end = description + note.n_descsz;
        if (description > size || end > size)
            return;
        take_note(&note, at + name, at + description, info, found);
        offset = align_up(end, align);
    }
}

/* ---- the dynamic section ------------------------------------------------------------------- */

static bool file_offset(const struct image *image, uint64_t address, uint64_t *offset)
{
    for (uint16_t i = 0; i < image->header.e_phnum; i++) {
        Elf64_Phdr load = segment(image, i);
        if (load.p_type != PT_LOAD || address < load.p_vaddr ||
            address - load.p_vaddr >= load.p_filesz)
            continue;
        return !__builtin_add_overflow(load.p_offset, address - load.p_vaddr, offset);
    }
    return false;
}

static bool take_needed(const struct image *image, uint64_t strings, uint64_t size, uint64_t at,
                        struct elf_info *info)
{
    if (info->n_needed == ELF_NEEDED_MAX)
        return true;
    const char *table = piece(image, strings, size);
    if (!table || at >= size)
        return false;
    size_t len = strnlen(table + at, size_min(size - at, ELF_NAME_MAX));
    if (len == size - at)
        return false;
    snprintf(info->needed[info->n_needed++], ELF_NAME_MAX, "%.*s", (int)len, table + at);
    return true;
}

static s4_status read_dynamic(const struct image *image, const Elf64_Phdr *dynamic,
                              struct elf_info *info, struct diag *diag)
{
    const char *at = piece(image, dynamic->p_offset, dynamic->p_filesz);
    if (!at)
        return damaged(diag, "its dynamic section");
    size_t n = dynamic->p_filesz / sizeof(Elf64_Dyn);
    uint64_t address = 0, strings = 0, size = 0;
    Elf64_Dyn entry;
    for (size_t i = 0; i < n; i++) {
        memcpy(&entry, at + i * sizeof entry, sizeof entry);
        if (entry.d_tag == DT_STRTAB)
            address = entry.d_un.d_ptr;
        else if (entry.d_tag == DT_STRSZ)
            size = entry.d_un.d_val;
    }
    bool there = address != 0 && file_offset(image, address, &strings);
    for (size_t i = 0; i < n; i++) {
        memcpy(&entry, at + i * sizeof entry, sizeof entry);
        if (entry.d_tag == DT_NULL)
            break;
        if (entry.d_tag == DT_NEEDED &&
            (!there || !take_needed(image, strings, size, entry.d_un.d_val, info)))
            return damaged(diag, "the name of a library that it needs");
    }
    return S4_OK;
}

/* ---- all of it ----------------------------------------------------------------------------- */

s4_status elf_read(const void *bytes, size_t size, struct elf_info *info, struct diag *diag)
{
    struct image image = { .bytes = bytes, .size = size };
    struct elf_info made = { 0 };
    bool found = false, dynamic = false;
    TRY(read_header(&image, diag));
    for (uint16_t i = 0; i < image.header.e_phnum; i++) {
        Elf64_Phdr at = segment(&image, i);
        if (at.p_type == PT_NOTE) {
            const char *notes = piece(&image, at.p_offset, at.p_filesz);
            if (!notes || at.p_filesz > NOTES_MAX)
                return damaged(diag, "a note");
            read_notes(notes, at.p_filesz, at.p_align == 8 ? 8 : 4, &made, &found);
        } else if (at.p_type == PT_DYNAMIC && !dynamic) {
            TRY(read_dynamic(&image, &at, &made, diag));
            dynamic = true;
        }
    }
    if (!dynamic)
        return diag_set(diag, S4_MALFORMED,
                        "the library is not a shared object: it has no dynamic "
                        "section");
    if (!found)
        return diag_set(
            diag, S4_INVALID,
            "the library has no s4 note; define the app with S4_APP in one of its files");
    *info = made;
    return S4_OK;
}

s4_status elf_fits(const struct elf_info *info, struct diag *diag)
{
    if (info->major != S4_ABI_MAJOR || info->minor > S4_ABI_MINOR)
        return diag_set(diag, S4_VERSION,
                        "the library is built for s4's ABI %u.%u; this node has %d.%d", info->major,
                        info->minor, S4_ABI_MAJOR, S4_ABI_MINOR);
    if (info->layout != S4_LAYOUT_SIGNATURE)
        return diag_set(diag, S4_VERSION,
                        "the library lays its tables out in another way (signature %016llx; this "
                        "node has %016llx); build it with this node's headers and protobuf-c",
                        (unsigned long long)info->layout, (unsigned long long)S4_LAYOUT_SIGNATURE);
    return S4_OK;
}
